"""What a command prints: tables and sentences for people, or one JSON document on stdout."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

console = Console()
errors = Console(stderr=True)


def put_json(found: object) -> None:
    """One JSON document, and nothing else, stands on stdout."""
    print(json.dumps(found, indent=1, ensure_ascii=False, default=str))


def put_table(title: str, rows: Sequence[Mapping[str, Any]], otherwise: str) -> None:
    """The rows under their names, or a sentence if there are none."""
    if not rows:
        console.print(escape(otherwise))
        return
    table = Table(title=escape(title), title_justify="left", header_style="bold")
    for name, value in rows[0].items():
        # Ids and codes are to be copied whole.
        table.add_column(
            name.replace("_", " "), justify="right" if isinstance(value, (int, float)) else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(escape("" if value is None else str(value)) for value in row.values()))
    console.print(table)


def put_text(text: str, style: str = "") -> None:
    """A sentence, shown as it is: nothing in it is taken for markup."""
    console.print(escape(text), style=style, highlight=False, soft_wrap=True)


def put_error(text: str) -> None:
    """A sentence on stderr."""
    errors.print(escape(text), style="red", highlight=False, soft_wrap=True)
