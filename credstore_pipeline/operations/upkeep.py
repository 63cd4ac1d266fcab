"""Jobs `undo_initial_load`, `restore` and `purge`."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from pydantic import Field

from credstore_pipeline.core.undo import undo_initial_load
from credstore_pipeline.core.upkeep import purge_snapshots, require_over, restore
from credstore_pipeline.core.watching import state_of
from credstore_pipeline.io_manager import SealedParquetIOManager
from credstore_pipeline.operations.work import operation
from credstore_pipeline.resources import Credstore


class UndoConfig(dg.Config):
    """What the operator decides."""

    confirm: str = Field(description="The target, `host:port/database.schema`, as a preflight shows it.")


class RestoreConfig(dg.Config):
    """What the operator decides."""

    to: str = Field(description="Where the copy is to be, an absolute path; nothing may be there.")
    snapshot: str = Field(default="", description="Which snapshot, by name; the one last loaded by default.")


class PurgeConfig(dg.Config):
    """What the operator decides."""

    snapshots: bool = Field(default=True, description="Remove snapshots.")
    keep_last_snapshot: bool = Field(
        default=True, description="Keep the one last loaded: `verify`, `watch` and `rollback_export` need it."
    )
    staging: bool = Field(default=True, description="Remove what finished runs left between steps.")
    runs_older_than_days: int = Field(
        default=-1, description="Remove finished runs of this project's jobs from Dagster's history; -1 keeps all."
    )


@dg.op(name="undo", out=dg.Out(dg.Nothing))
def undo_op(context: dg.OpExecutionContext, config: UndoConfig, credstore: Credstore) -> None:
    """Remove what the pipeline wrote and nobody changed since; say what stays and why."""
    with operation(context, credstore, "The target is as it was.") as work:
        done = undo_initial_load(work.deployment, work.ring, work.run_id, config.confirm, work.log)
        work.stands("What nobody changed since the load is removed from the target.")
        for row in done.left:
            context.log.warning("%s: %d rows stay, %s (id %s)", row["table"], row["rows"], row["why"], row["ids"])
        work.done(
            f"{sum(done.removed.values())} rows were removed, {sum(row['rows'] for row in done.left)} stay.",
            {f"{name}_removed": rows for name, rows in done.removed.items()},
            left=done.left,
        )


@dg.op(name="copy_out", out=dg.Out(dg.Nothing))
def restore_op(context: dg.OpExecutionContext, config: RestoreConfig, credstore: Credstore) -> None:
    """Copy a proven snapshot to a path."""
    with operation(context, credstore, "Nothing was written.") as work:
        state = state_of(work.deployment, work.ring, work.run_id)
        done = restore(work.deployment, work.ring, state, Path(config.to), config.snapshot or None)
        work.stands(f"The copy stands at {done.path}.")
        work.done(
            f"Snapshot {done.snapshot} with {done.rows} rows stands at {done.path}.",
            {"snapshot": done.snapshot, "path": dg.MetadataValue.path(str(done.path)), "rows": done.rows},
        )


@dg.op(name="remove", out=dg.Out(dg.Nothing))
def purge_op(context: dg.OpExecutionContext, config: PurgeConfig, credstore: Credstore) -> None:
    """Remove what the window left behind, once it is over."""
    with operation(context, credstore, "Some of it may be removed; launch again to remove the rest.") as work:
        state = state_of(work.deployment, work.ring, work.run_id)
        require_over(work.deployment, state)
        gone: list[str] = []
        if config.snapshots:
            gone = purge_snapshots(work.deployment, state, keep_last=config.keep_last_snapshot)
        staged = 0
        if config.staging:
            staged = SealedParquetIOManager(credstore=credstore).forget_finished(context.instance, work.run_id)
        runs = _forget_runs(context, config.runs_older_than_days) if config.runs_older_than_days >= 0 else 0
        work.stands("What was to be removed is removed.")
        work.done(
            f"{len(gone)} snapshots, staged files of {staged} runs and {runs} runs of the history were removed.",
            {"snapshots_removed": len(gone), "staged_runs_removed": staged, "runs_removed": runs},
        )


def _forget_runs(context: dg.OpExecutionContext, days: int) -> int:
    """Remove finished runs of our own jobs; other projects may share the history."""
    from credstore_pipeline.definitions import defs

    ours = {job.name for job in defs.resolve_all_job_defs()}
    before = datetime.now(UTC) - timedelta(days=days)
    records = context.instance.get_run_records(dg.RunsFilter(created_before=before))
    gone = [
        record.dagster_run.run_id
        for record in records
        if record.dagster_run.is_finished
        and record.dagster_run.job_name in ours
        and record.dagster_run.run_id != context.run_id
    ]
    for run_id in gone:
        context.instance.delete_run(run_id)
    return len(gone)


@dg.job(
    name="undo_initial_load",
    description="Remove from the target what the pipeline wrote and nobody changed since, and say what stays and why. "
    "Run config: the target's place as confirmation.",
)
def undo_initial_load_job() -> None:
    """One op."""
    undo_op()


@dg.job(name="restore", description="Copy a proven snapshot to a path where nothing is.")
def restore_job() -> None:
    """One op."""
    restore_op()


@dg.job(
    name="purge",
    description="After the window: remove snapshots but the last, files between steps, and old runs of this project.",
)
def purge_job() -> None:
    """One op."""
    purge_op()
