"""Runs the pipeline as an operator does, from the command line, and reads the report that each run leaves."""

import json
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MODULE = "credstore_pipeline.definitions"
MATERIALIZE = ("asset", "materialize", "-m", MODULE, "--select", "*")
OURS = ("CREDSTORE_", "NETRAVEN_", "POSTGRES_", "DAGSTER_")
"""Prefixes of variables that must not reach a made-up run from the shell it is started in."""


@dataclass(frozen=True)
class Ran:
    """One command that has ended.

    Attributes:
        exit_code: As the shell sees it.
        seconds: Wall time.
        log: Everything that it printed.
        parts: The parts of its report, empty if it left none.
        report: The report's folder, None if it left none.
    """

    exit_code: int
    seconds: float
    log: Path
    parts: list[dict[str, Any]] = field(repr=False)
    report: Path | None

    def part(self, stage: str) -> dict[str, Any]:
        """What one stage reported."""
        return next((part for part in self.parts if part["stage"] == stage), {})


@dataclass
class CommandLine:
    """Runs `dagster` with the settings of one migration.

    Attributes:
        settings: The migration's variables; nothing else of the kind is inherited.
        logs: Folder of what the commands print.
    """

    settings: dict[str, str]
    logs: Path

    def environment(self, **more: str) -> dict[str, str]:
        """The shell's variables without any that steers the pipeline, then the settings."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        return {**clean, "DAGSTER_DISABLE_TELEMETRY": "1", **self.settings, **more}

    def dagster(self, name: str, *arguments: str, **more: str) -> Ran:
        """Run one `dagster` command to its end, whatever that is."""
        self.logs.mkdir(parents=True, exist_ok=True)
        log, known = self.logs / f"{name}.log", self._reports()
        began = time.monotonic()
        with log.open("wb") as output:
            ended = subprocess.run(
                [str(Path(sys.executable).parent / "dagster"), *arguments],
                env=self.environment(**more),
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        seconds = time.monotonic() - began
        new = sorted(self._reports() - known)
        report = new[-1] if new else None
        parts = json.loads((report / "report.json").read_text())["parts"] if report else []
        return Ran(ended.returncode, seconds, log, parts, report)

    def _reports(self) -> set[Path]:
        return {file.parent for file in Path(self.settings["DAGSTER_HOME"]).glob("reports/*/report.json")}


def shown(*arguments: str, **more: str) -> str:
    """The command as one would type it."""
    given = "".join(f"{name}={value} " for name, value in more.items())
    return f"{given}dagster {shlex.join(arguments)}"
