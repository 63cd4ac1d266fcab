"""Command blocks of the pages, each with what its page says of it to whoever runs it.

A block is run and ends with 0, unless a comment stands on the line before it:

    <!-- run: exit 1 -->           it ends with that code
    <!-- run: serves -->           it goes on until somebody stops it
    <!-- not run: the reason -->   no test runs it, for that reason
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from credstore_pipeline.reference.pages import pages

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(
    r"^(?:<!-- (?P<mark>run|not run)(?:: (?P<says>[^\n]+?))? -->\n)?```(?P<language>sh|sql|yaml)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """One block of a page.

    Attributes:
        page: Name of its file.
        language: Of the fence.
        text: Between the fences.
        code: How it ends.
        serves: Whether it goes on until it is stopped.
        not_run: Why no test runs it; empty if one does.
    """

    page: str
    language: Literal["sh", "sql", "yaml"]
    text: str
    code: int
    serves: bool
    not_run: str


def blocks(page: Path, *languages: str) -> list[Block]:
    """The page's blocks in those languages, in order."""
    found = []
    for each in _FENCE.finditer(page.read_text(encoding="utf-8")):
        says = each["says"] or ""
        not_run = says if each["mark"] == "not run" else ""
        code = int(says.removeprefix("exit ")) if says.startswith("exit ") and not not_run else 0
        if each["language"] in languages:
            found.append(Block(page.name, each["language"], each["text"], code, says == "serves", not_run))
    return found


def commands(name: str) -> list[Block]:
    """What one page tells to type, without what no test runs."""
    page = next(page for page in pages(ROOT) if page.name == name)
    return [block for block in blocks(page, "sh") if not block.not_run]
