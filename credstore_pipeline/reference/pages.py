"""Puts generated tables between their markers; everything else on a page is written by hand."""

import re
from pathlib import Path

from credstore_pipeline.reference.tables import TABLES

_BLOCK = re.compile(r"(?P<begin><!-- begin: (?P<name>[a-z-]+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL)

_DEMO = ("<!-- demo -->", "<!-- /demo -->")


def pages(root: Path) -> list[Path]:
    """Every page of the documentation, the README first."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def generated(text: str) -> str:
    """The page with each block between markers as the code says today.

    Raises:
        KeyError: If a marker names a table that there is not.
    """
    return _BLOCK.sub(lambda block: f"{block['begin']}{TABLES[block['name']]().rstrip()}\n{block['end']}", text)


def put_demo(root: Path, output: str) -> None:
    """Show what `make demo` printed, with the project's folder left out of its paths."""
    page = root / "README.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(_DEMO[0])
    after = rest.partition(_DEMO[1])[2]
    shown = output.replace(f"{root}/", "").strip("\n")
    page.write_text(f"{before}{_DEMO[0]}\n```\n{shown}\n```\n{_DEMO[1]}{after}", encoding="utf-8")


def outdated(root: Path) -> list[Path]:
    """Pages whose generated blocks differ from the code."""
    return [page for page in pages(root) if generated(text := page.read_text(encoding="utf-8")) != text]


def write(root: Path) -> list[Path]:
    """Bring every page up to the code and name those that changed."""
    changed = outdated(root)
    for page in changed:
        page.write_text(generated(page.read_text(encoding="utf-8")), encoding="utf-8")
    return changed
