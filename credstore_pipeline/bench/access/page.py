"""The section of docs/benchmarks.md, with its picture; the data it is made from lies beside the page as JSON."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from credstore_pipeline.bench.access.clients import Cell

COLORS = {"SQLite": "#888888", "PostgreSQL": "#7aa7d9", "PostgreSQL, indexes": "#2b5d9b"}
HEAD = "| credentials | operation | clients | contestant | median ms | p95 ms | a second | refused | lost |"
INTRODUCTION = """## SQLite against PostgreSQL

Written by `python -m credstore_pipeline.bench.access`, the second part of `make bench`.

- *SQLite*: the application's former access (its ORM queries, a credential at a time, counters read and written back).
- *PostgreSQL*: `CredentialStore` on the application's tables as they are.
- *PostgreSQL, indexes*: the same after `credstore-init --indexes`.

Each client is a process of its own, which did the operation once before: a worker compiles it once in its life.
*Refused*: answered with SQLite's "database is locked". *Lost*: status updates that were answered and are in no counter.
Both databases write through to the disk; the server and all clients share this machine's cores.

*By tag* and *smart selection* read every password that they select, on each side. Beside the bare query (driver, no
passwords, same order) stands what `get_credentials_by_tag` returns, whose passwords are opened when they are read.
"""


def keep(page: Path, cells: list[Cell], told: dict[str, Any]) -> None:
    """Keep data and picture beside the page: its name with `-access` and another suffix.

    Args:
        page: The page that the section is on.
        cells: What was measured.
        told: `machine`, `at`, `load` (processes at work on the machine), `reached` (rows of text), `plans` (by title).
    """
    page.parent.mkdir(parents=True, exist_ok=True)
    whole = {**told, "cells": [asdict(cell) for cell in cells]}
    beside(page, ".json").write_text(json.dumps(whole, indent=1) + "\n")
    beside(page, ".svg").write_text(picture(cells))


def beside(page: Path, suffix: str) -> Path:
    """Where the section's data or picture lies."""
    return page.with_name(f"{page.stem}-access{suffix}")


def access_section(page: Path) -> str:
    """The section, from the data beside the page; empty if nothing was measured yet."""
    data = beside(page, ".json")
    if not data.exists():
        return ""
    told = json.loads(data.read_text())
    lines = [INTRODUCTION, f"{told['at']}, {told['machine']}, load {told['load']} when it began.", ""]
    lines += [f"![Operations a second]({beside(page, '.svg').name})", ""]
    lines += ["| compared | measured | to reach | reached |", "|---|---:|---:|---|"]
    lines += [f"| {' | '.join(row)} |" for row in told["reached"]]
    lines += ["", HEAD, "|---:|---|---:|---|---:|---:|---:|---:|---:|"]
    lines += [*(_row(Cell(**cell)) for cell in told["cells"]), ""]
    for title, plan in told["plans"].items():
        lines += [f"### {title}", "", "```", plan, "```", ""]
    return "\n".join(lines).rstrip("\n")


def picture(cells: list[Cell]) -> str:
    """Bars of operations a second, on a scale of powers of ten, for the largest store."""
    size = max(cell.size for cell in cells)
    shown = [cell for cell in cells if cell.size == size]
    operations = list(dict.fromkeys(cell.operation for cell in shown))
    row, left, width = 13, 190, 420
    lines, y = [], 34
    for operation in operations:
        lines.append(f'<text x="8" y="{y + 10}" font-weight="bold">{operation}</text>')
        for cell in (cell for cell in shown if cell.operation == operation):
            length = width * max(0.0, _tens(cell.rate)) / 5
            lines.append(f'<text x="{left - 6}" y="{y + 10}" text-anchor="end">{cell.clients} clients</text>')
            bar = f'<rect x="{left}" y="{y + 1}" width="{length:.0f}" height="{row - 2}"'
            lines.append(f'{bar} fill="{COLORS[cell.contestant]}"/>')
            lines.append(f'<text x="{left + length + 4:.0f}" y="{y + 10}">{cell.rate:,.0f}</text>')
            y += row
        y += 8
    legend = "".join(
        f'<rect x="{left + 140 * place}" y="8" width="10" height="10" fill="{color}"/>'
        f'<text x="{left + 14 + 140 * place}" y="17">{name}</text>'
        for place, (name, color) in enumerate(COLORS.items())
    )
    title = f"Operations a second on {size:,} credentials, on a scale of powers of ten"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="700" height="{y}" font-family="sans-serif" font-size="10">'
        f"<title>{title}</title>"
        f'<rect width="700" height="{y}" fill="white"/>{legend}{"".join(lines)}</svg>\n'
    )


def _tens(rate: float) -> float:
    # A tenth of an operation a second is the foot of a bar.
    return math.log10(max(rate, 0.1)) + 1


def _row(cell: Cell) -> str:
    lost = "" if cell.lost is None else f"{cell.lost:,}"
    return (
        f"| {cell.size:,} | {cell.operation} | {cell.clients} | {cell.contestant} | {cell.median_ms:,.2f} |"
        f" {cell.p95_ms:,.2f} | {cell.rate:,.1f} | {cell.refused:,} | {lost} |"
    )
