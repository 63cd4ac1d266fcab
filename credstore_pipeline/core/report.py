"""The run's report, written part by part as stages end, so that a refused or failed run has one too."""

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

FLOW = frozenset({"backup/snapshot", "extracted", "preflight/census", "validated", "postgres"})
"""Stages after which a migration goes on."""

Outcome = Literal["done", "warning", "refused", "failed"]


@dataclass(frozen=True)
class Part:
    """What one stage has to say. Ids, reasons and counts only, never a value.

    Attributes:
        stage: Asset key or check name.
        outcome: How it ended.
        text: One or more sentences.
        numbers: Figures.
        tables: Small tables by title; rows as dictionaries.
        at: When the stage ended, UTC, ISO 8601.
        seconds: How long the stage took; the report fills it in.
    """

    stage: str
    outcome: Outcome
    text: str
    numbers: dict[str, int | float] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    seconds: float = 0.0


class RunReport:
    """`<report_dir>/<run id>/report.json` and `report.md`, whole after every part."""

    def __init__(self, report_dir: Path, run_id: str, began: float | None = None) -> None:
        """Name the run's folder; nothing is written yet.

        Args:
            report_dir: Where the reports of all runs are.
            run_id: This run.
            began: When the stage began, by `time.monotonic`; now by default.
        """
        self.folder = report_dir / run_id
        self.run_id = run_id
        self._began = time.monotonic() if began is None else began

    @property
    def json_path(self) -> Path:
        """The report as data."""
        return self.folder / "report.json"

    @property
    def markdown_path(self) -> Path:
        """The report to read."""
        return self.folder / "report.md"

    @property
    def html_path(self) -> Path:
        """The report to look at; written when the run's last stage is over."""
        return self.folder / "report.html"

    def add(self, part: Part) -> None:
        """Append a part, replacing an earlier one of the same stage, and write the report anew."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        timed = replace(part, seconds=part.seconds or round(time.monotonic() - self._began, 3))
        parts = [*(known for known in self.parts() if known.stage != part.stage), timed]
        outcome = overall(parts)
        whole = {"run_id": self.run_id, "outcome": outcome, "parts": [asdict(known) for known in parts]}
        _replace(self.json_path, json.dumps(whole, indent=1, ensure_ascii=False))
        _replace(self.markdown_path, as_markdown(self.run_id, parts))

    def add_failure(self, part: Part) -> None:
        """Append the part of a failed stage, if that can be written: the failure itself must not be hidden by that."""
        with suppress(Exception):
            self.add(part)

    def parts(self) -> list[Part]:
        """The parts written so far, in order."""
        if not self.json_path.exists():
            return []
        return [Part(**part) for part in json.loads(self.json_path.read_text(encoding="utf-8"))["parts"]]

    def write_html(self, page: str) -> None:
        """Put the finished page beside the other two; only the owner may read it."""
        _replace(self.html_path, page)


def overall(parts: list[Part]) -> str:
    """The run in one word or two: migrated only if its last proof was written, and none failed.

    A run of the proofs or of an operation alone is done when its only stage is.
    """
    outcomes = {part.outcome for part in parts}
    if "failed" in outcomes:
        return "failed"
    if "refused" in outcomes:
        return "refused"
    stages = {part.stage for part in parts}
    if "report/migration" in stages:
        return "migrated and proven"
    return "unfinished" if stages & FLOW or not stages else "done"


def as_markdown(run_id: str, parts: list[Part]) -> str:
    """The report as Markdown; cells are escaped."""
    lines = [f"# Migration report: {overall(parts)}", "", f"Run `{run_id}`.", ""]
    for part in parts:
        lines += [f"## {part.stage}: {part.outcome}", "", f"{part.at}", "", _text(part.text), ""]
        if part.numbers:
            lines += _table([{"figure": name, "value": value} for name, value in part.numbers.items()])
        for title, rows in part.tables.items():
            lines += [f"### {title}", "", *(_table(rows) if rows else ["None.", ""])]
    return "\n".join(lines)


def _table(rows: list[dict[str, Any]]) -> list[str]:
    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(_cell(row.get(name)) for name in names)} |" for row in rows]
    return [*lines, ""]


def _cell(value: Any) -> str:
    return _text("" if value is None else str(value)).replace("|", "\\|").replace("\n", " ")


def _text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _replace(path: Path, text: str) -> None:
    partial = path.with_suffix(f"{path.suffix}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
    partial.replace(path)
