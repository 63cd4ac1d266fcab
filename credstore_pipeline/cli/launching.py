"""Runs one job in this process, with its history in DAGSTER_HOME, and says how far it is."""

import uuid
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.events.log import EventLogEntry
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from credstore_pipeline.cli.output import errors
from credstore_pipeline.core.progress import read_progress
from credstore_pipeline.core.report import Part, RunReport, overall


@dataclass(frozen=True)
class Launched:
    """How a run ended.

    Attributes:
        run_id: Dagster's.
        success: Whether it is green.
        outcome: The report's word for it; empty if the run wrote no report.
        parts: What its stages wrote into the report.
        figures: What an operation showed: figures by name, and tables as rows.
        failures: First lines of the steps that failed.
        report: Where the report is, if there is one.
    """

    run_id: str
    success: bool
    outcome: str
    parts: list[Part]
    figures: dict[str, Any]
    failures: list[str]
    report: str | None


class UnknownJob(Exception):
    """There is no job of that name, or it takes no such configuration."""


def launch(name: str, config: Mapping[str, Any] | None, reports: Path, *, quiet: bool, log: bool = False) -> Launched:
    """Run the job to its end.

    Args:
        name: The job's.
        config: Names and values of its typed run config.
        reports: Where the reports of all runs are.
        quiet: Without progress bars.
        log: With Dagster's own log on stderr.

    Raises:
        UnknownJob: If there is no such job, or no such name in its config.
    """
    from credstore_pipeline.definitions import defs

    if name not in {known.name for known in defs.jobs or []}:
        raise UnknownJob(f"there is no job {name}")
    job = defs.resolve_job_def(name)
    run_id = str(uuid.uuid4())
    run_config: dict[str, Any] = {"ops": configured(job, config)} if config else {}
    if not log:
        run_config["loggers"] = {"console": {"config": {"log_level": "CRITICAL"}}}
    with dg.DagsterInstance.get() as instance, nullcontext() if quiet else Bars(job) as bars:
        if bars:
            instance.add_event_listener(run_id, bars.see)
        result = job.execute_in_process(run_config=run_config, instance=instance, raise_on_error=False, run_id=run_id)
    report = RunReport(reports, run_id)
    parts = report.parts()
    page = report.html_path if report.html_path.exists() else report.markdown_path
    return Launched(
        run_id,
        result.success,
        overall(parts) if parts else "",
        parts,
        {} if job.asset_layer.selected_asset_keys else _figures(result),
        _failures(result),
        str(page) if parts else None,
    )


def configured(job: dg.JobDefinition, config: Mapping[str, Any]) -> dict[str, Any]:
    """Each value at the step whose run config has its name.

    Raises:
        UnknownJob: Naming what the job takes, if a name is none of it.
    """
    takes = {
        field: node.name
        for node in job.nodes
        for field in getattr(getattr(node.definition.config_schema.config_type, "fields", None), "keys", list)()
    }
    unknown = sorted(set(config) - set(takes))
    if unknown:
        raise UnknownJob(f"{job.name} takes no {', '.join(unknown)}; it takes {', '.join(sorted(takes)) or 'nothing'}")
    ops: dict[str, Any] = {}
    for name, value in config.items():
        ops.setdefault(takes[name], {"config": {}})["config"][name] = value
    return ops


class Bars:
    """Two bars on stderr: steps of the run, and rows of the work that takes long."""

    def __init__(self, job: dg.JobDefinition, console: Console = errors) -> None:
        """Count the steps; nothing is drawn yet."""
        self._drawn = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._steps = self._drawn.add_task(job.name, total=len(job.nodes))
        self._rows: dict[str, TaskID] = {}

    def __enter__(self) -> "Bars":
        """Begin to draw."""
        self._drawn.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bars away."""
        self._drawn.stop()

    def see(self, entry: EventLogEntry) -> None:
        """Move a bar by one event of the run."""
        event = entry.dagster_event
        if event and event.is_step_start:
            self._drawn.update(self._steps, description=str(event.step_key).replace("__", "/"))
        if event and (event.is_step_success or event.is_step_failure):
            self._drawn.advance(self._steps)
            for task in self._rows.values():
                self._drawn.update(task, visible=False)
        reading = read_progress(entry.user_message)
        if reading:
            if reading.what not in self._rows:
                self._rows[reading.what] = self._drawn.add_task(reading.what, total=reading.total)
            self._drawn.update(self._rows[reading.what], completed=reading.done, visible=True)


def _failures(result: dg.ExecuteInProcessResult) -> list[str]:
    failed = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    return [str(data.user_failure_data.description) for data in failed if data.user_failure_data]


def _figures(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """What operations attached to their outputs."""
    shown: dict[str, Any] = {}
    for event in result.all_events:
        if event.is_successful_output:
            for name, entry in event.step_output_data.metadata.items():
                rows = isinstance(entry, dg.TableMetadataValue)
                shown[name] = [dict(record.data) for record in entry.records] if rows else entry.value
    return shown
