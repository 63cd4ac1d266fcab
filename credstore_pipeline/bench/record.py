"""Keeps measurements as data beside the page, and writes the page from all of them."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from credstore_pipeline import __version__
from credstore_pipeline.bench.access.page import access_section
from credstore_pipeline.bench.machine import describe_machine
from credstore_pipeline.bench.measure import Measured

ROWS_PER_CREDENTIAL = 3
"""Each credential has two associations."""

PEAK_LIMIT_MB = 1200

INTRODUCTION = """# Benchmarks

Written by `make bench` (`make bench CREDENTIALS=333333` for a million rows); the numbers are as measured, reached or
not. All programs read the same SQLite file and write into a fresh database of the same embedded PostgreSQL server.

- *pipeline*: `dagster asset materialize` from start to exit, into an empty database, each password opened and sealed
  again under a new key, every proof made.
- *second run*: the same command again, nothing having changed.
- *1 % changed*: the same command again, after one row in a hundred was changed in the file
  ([what such passes leave out](transition-window.md#what-a-pass-over-a-large-store-leaves-out)).
- *pgloader*: the file copied raw, with pgloader's defaults; passwords stay as they are, nothing is proven.
- *ORM script*: SQLAlchemy, one object and one `session.add` a row, each password opened and sealed again, nothing
  proven (`credstore_pipeline/bench/orm_script.py`).
- *empty run*: Dagster with as many steps and checks, all of them empty.

Rows are credentials and associations together. Processor seconds and peak memory are those of the command and its
children, not the server's.
"""


@dataclass(frozen=True)
class Results:
    """What one `make bench` measured."""

    credentials: int
    at: str
    machine: str
    version: str
    measured: dict[str, Measured]

    @classmethod
    def of(
        cls,
        credentials: int,
        first: Measured,
        second: Measured,
        changed: Measured,
        pgloader: Measured | None,
        script: Measured | None,
        thousand: Measured,
        empty: Measured,
    ) -> "Results":
        """Name the measurements; those that were not made are left out."""
        named = {
            "pipeline": first,
            "second run": second,
            "1 % changed": changed,
            "pgloader": pgloader,
            "ORM script": script,
            "pipeline, 1,000 credentials": thousand,
            "empty run": empty,
        }
        at = datetime.now(UTC).strftime("%Y-%m-%d")
        kept = {name: one for name, one in named.items() if one is not None}
        return cls(credentials, at, describe_machine(), __version__, kept)

    def as_text(self) -> str:
        """The section of the page: machine, table, ratios with what was to be reached."""
        lines = [f"## {self.credentials:,} credentials", "", f"{self.at}, version {self.version}, {self.machine}.", ""]
        lines += [
            "| program | seconds | processor seconds | rows a second | peak memory (MB) |",
            "|---|---:|---:|---:|---:|",
        ]
        for name, one in self.measured.items():
            rows = 0 if name == "empty run" else ROWS_PER_CREDENTIAL * (1000 if "1,000" in name else self.credentials)
            rate = f"{rows / one.seconds:,.0f}" if rows else ""
            lines.append(f"| {name} | {one.seconds:.1f} | {one.cpu_seconds:.1f} | {rate} | {one.peak_mb:,.0f} |")
        lines += ["", "| compared | measured | to reach | reached |", "|---|---:|---:|---|"]
        return "\n".join([*lines, *(f"| {' | '.join(cells)} |" for cells in self._ratios())])

    def _ratios(self) -> list[tuple[str, str, str, str]]:
        one, first = self.measured, self.measured["pipeline"]
        rows = []
        if "pgloader" in one:
            limit = 3.0 if self.credentials <= 100_000 else 1.5
            ratio = first.seconds / one["pgloader"].seconds
            rows.append(("pipeline / pgloader", f"{ratio:.2f}", f"<= {limit}", _yes(ratio <= limit)))
        if "ORM script" in one:
            ratio = one["ORM script"].seconds / first.seconds
            rows.append(("ORM script / pipeline", f"{ratio:.2f}", ">= 4", _yes(ratio >= 4)))
        for name, limit in (("second run", 25), ("1 % changed", 35)):
            if name in one:
                part = 100 * one[name].seconds / first.seconds
                # Rows are credentials and associations.
                large = ROWS_PER_CREDENTIAL * self.credentials >= 999_000
                reached = _yes(part <= limit) if large else "asked at 1,000,000 rows"
                rows.append((f"{name} / pipeline (%)", f"{part:.0f}", f"<= {limit}", reached))
        peak = first.peak_mb
        rows.append(("peak memory (MB)", f"{peak:,.0f}", f"<= {PEAK_LIMIT_MB:,}", _yes(peak <= PEAK_LIMIT_MB)))
        more = one["pipeline, 1,000 credentials"].seconds - one["empty run"].seconds
        rows.append(("1,000 credentials - empty run (s)", f"{more:.1f}", "<= 2", _yes(more <= 2)))
        return rows


def write_page(page: Path, results: Results) -> None:
    """The page holds the last measurement of each size; the data it is written from lies beside it as JSON."""
    data = page.with_suffix(".json")
    kept = json.loads(data.read_text()) if data.exists() else {}
    kept[str(results.credentials)] = asdict(results)
    page.parent.mkdir(parents=True, exist_ok=True)
    data.write_text(json.dumps(kept, indent=1) + "\n")
    compose(page)


def compose(page: Path) -> None:
    """Write the page from whatever data lies beside it: the pipeline's, and the access to both databases."""
    data = page.with_suffix(".json")
    kept = json.loads(data.read_text()) if data.exists() else {}
    sections = [_from_json(kept[size]).as_text() for size in sorted(kept, key=int)]
    access = access_section(page)
    page.write_text(
        "\n".join([INTRODUCTION, *(f"{section}\n" for section in [*sections, *([access] if access else [])])])
    )


def _from_json(kept: dict[str, Any]) -> Results:
    measured = {name: Measured(**one) for name, one in kept["measured"].items()}
    return Results(**{**kept, "measured": measured})


def _yes(reached: bool) -> str:
    return "yes" if reached else "no"
