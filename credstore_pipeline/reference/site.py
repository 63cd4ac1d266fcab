"""Hooks of the documentation's site: the README is its front page."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

FRONT = "index.md"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The README stands among the pages, first."""
    readme = Path(config.config_file_path).with_name("README.md").read_text(encoding="utf-8")
    files.append(File.generated(config, FRONT, content=readme.replace("](docs/", "](")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to the README lead to the front page."""
    return markdown.replace("](../README.md", f"]({FRONT}")
