"""Every command that a page tells to type is one that there is; docs/ runs them."""

import re
import shlex
from pathlib import Path

import pytest
from click import Context
from typer.main import get_command

from credstore_pipeline.cli.app import app
from credstore_pipeline.definitions import defs
from credstore_pipeline.reference.interfaces import walk
from credstore_pipeline.reference.pages import pages

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
COMMANDS = dict(walk(get_command(app), ()))
JOBS = {job.name for job in defs.jobs or []}
SHELL = {
    "set", "export", "mkdir", "cat", "cp", "mv", "rm", "ls", "umask", ".", "sed", "cd", "sqlite3", "sha256sum", "echo",
    "psql", "docker", "buildah", "curl", "install", "chmod", "chown", "openssl", "printf", "test", "head", "tail",
    "python", "for", "done", "if", "fi", "while",
}  # fmt: skip
"""Programs of the system that a page may use."""


def lines():
    """Page and command, one a line; continued lines joined, here-documents, assignments and pipes' tails left out."""
    for page in pages(ROOT):
        for block in BLOCK.findall(page.read_text(encoding="utf-8")):
            text = re.sub(r"<<'?(\w+)'?\n.*?\n\1\n", "\n", block.replace("\\\n", " "), flags=re.DOTALL)
            for line in text.splitlines():
                if line.strip() and not line.lstrip().startswith("#"):
                    yield page.name, line.strip()


LINES = sorted(set(lines()))


@pytest.mark.parametrize(("page", "line"), [each for each in LINES if re.search(r"\bcredstore [a-z-]", each[1])])
def test_every_command_of_credstore_takes_what_the_page_gives_it(page, line):
    words = shlex.split(line.partition("|")[0])[1:]
    if words[0].startswith("--"):
        assert words[0] in ("--help", "--install-completion", "--show-completion")
        return
    name = next((name for name in (" ".join(words[:2]), words[0]) if name in COMMANDS), None)
    assert name, line
    command = COMMANDS[name]
    command.make_parser(Context(command)).parse_args(words[len(name.split()) :])


def test_every_make_target_that_is_told_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = {word for _, line in LINES if line.startswith("make ") for word in line.split()[1:] if "=" not in word}
    assert told
    assert told <= targets


def test_every_job_that_is_told_exists():
    told = {name for _, line in LINES for name in re.findall(r"(?:-j|--job) ([a-z_]+)", line)}
    assert told
    assert told <= JOBS


@pytest.mark.parametrize(("page", "line"), LINES)
def test_every_line_starts_with_a_program_that_there_is(page, line):
    first = next((word for word in re.split(r"[\s;(]+", line) if word and "=" not in word), "")
    ours = {"make", "dagster", "dg", "credstore", "credstore-init"}
    assert first in ours | SHELL or "=" in line, line


def test_every_picture_has_words_and_is_made_by_make_screenshots():
    made = re.search(r"^SCREENSHOTS := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    for page in pages(ROOT):
        for words, path in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            assert len(words) > 10, path
            if "screenshots/" in path:
                assert Path(path).stem in made
                assert (page.parent / path).is_file()


@pytest.mark.ci
def test_the_site_is_built_without_a_warning(tmp_path):
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    build(load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(tmp_path)))
    front = (tmp_path / "index.html").read_text()
    assert "What is promised, and which test holds it" in front
    # Nothing is fetched from elsewhere when a page is read.
    for page in tmp_path.rglob("*.html"):
        assert (
            re.findall(
                r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//[^"]+|<link[^>]+stylesheet[^>]+href="(?:https?:)?//[^"]+',
                page.read_text(),
            )
            == []
        )
