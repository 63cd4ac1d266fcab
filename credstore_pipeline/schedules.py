"""When re-syncs run by themselves, and why they do not."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import dagster as dg

from credstore_pipeline import jobs
from credstore_pipeline.boundary import told
from credstore_pipeline.core.errors import SourceError
from credstore_pipeline.core.source.connect import source_hint
from credstore_pipeline.core.watching import State, state_of
from credstore_pipeline.resources import Credstore
from credstore_pipeline.settings_window import at_load

WAITED_FOR = timedelta(hours=12)
"""A run that was launched longer ago keeps no re-sync waiting: the load's lock would still keep the two apart."""

LOST_AFTER = timedelta(minutes=30)
"""So does one that is at work and has logged nothing for so long: its process is gone. Long work logs its progress."""

GOING = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
LOADING = ("resync", "migrate", "replay_quarantine", "resolve_conflicts", "cutover", "rollback_export", "__ASSET_JOB")
"""Jobs beside which no re-sync is launched."""

_SETTINGS = at_load()


@contextmanager
def settled(asker: str) -> Iterator[Credstore]:
    """The deployment for one tick, its errors told without values."""
    credstore = Credstore()
    with told(asker, "Nothing was launched."), credstore.yield_for_execution(dg.build_init_resource_context()):
        yield credstore


def why_not(credstore: Credstore, state: State, instance: dg.DagsterInstance) -> str:
    """Say why no re-sync is launched now; empty if one is.

    Raises:
        SourceError: If the store cannot be reached: that is no reason to be quiet.
    """
    deployment = credstore.deployment()
    if state.cutover:
        return f"The store was {state.cutover.told}; nothing is taken from it any more."
    if closed := deployment.policies.window.closed(datetime.now(UTC)):
        return f"{closed[0].upper()}{closed[1:]}."
    require_source(credstore)
    if state.last is None:
        return "Nothing was loaded yet: launch the job `migrate` first."
    return still_going(instance)


def require_source(credstore: Credstore) -> None:
    """Let pass a store whose file can be read."""
    path = credstore.deployment().source.sqlite_path
    if not source_hint(path):
        raise SourceError("source", f"{path} cannot be read.", todo="Check the mount and CREDSTORE_SQLITE_PATH.")


def still_going(instance: dg.DagsterInstance) -> str:
    """Name a run that is at work, or nothing."""
    since = datetime.now(UTC) - WAITED_FOR
    for record in instance.get_run_records(dg.RunsFilter(statuses=GOING, created_after=since), limit=100):
        run = record.dagster_run
        if run.job_name in LOADING and not _lost(instance, record):
            return f"Run {run.run_id} ({run.job_name}) is still going."
    return ""


def _lost(instance: dg.DagsterInstance, record: dg.RunRecord) -> bool:
    """Whether the run's process is gone, which Dagster is not told if all of it was killed, or the machine stopped."""
    if record.dagster_run.status in (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED):
        return False
    last = instance.get_records_for_run(record.dagster_run.run_id, limit=1, ascending=False).records
    heard = last[0].timestamp if last else record.create_timestamp.timestamp()
    return datetime.now(UTC).timestamp() - heard > LOST_AFTER.total_seconds()


def reason_to_skip(instance: dg.DagsterInstance) -> str:
    """Say why the schedule launches nothing now; empty if it does."""
    with settled("resync_schedule") as credstore:
        state = state_of(credstore.deployment(), credstore.ring(), "resync_schedule")
        return why_not(credstore, state, instance)


@dg.schedule(
    job=jobs.resync,
    cron_schedule=_SETTINGS.CREDSTORE_RESYNC_CRON,
    name="resync_schedule",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING
    if _SETTINGS.CREDSTORE_RESYNC_ENABLED
    else dg.DefaultScheduleStatus.STOPPED,
    description="Takes over what changed in the legacy store, while the window is open.",
)
def resync_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Launch a re-sync, or say why not; a store that cannot be reached is an error."""
    reason = reason_to_skip(context.instance)
    return dg.SkipReason(reason) if reason else dg.RunRequest(tags={"credstore/launched_by": "resync_schedule"})
