"""What watches the legacy store between schedules, and what tells of failed runs."""

import json
import time
from dataclasses import asdict, dataclass

import dagster as dg

from credstore_pipeline import jobs
from credstore_pipeline.assets.snapshot import SQLITE_STORE
from credstore_pipeline.core.cutover.record import Cutover
from credstore_pipeline.core.drift import digest_apart_from_statistics, digest_of_all, find_drift
from credstore_pipeline.core.errors import CouldNotCheck, SnapshotNotProven, SourceError
from credstore_pipeline.core.source.connect import source_hint
from credstore_pipeline.core.watching import State, state_of
from credstore_pipeline.failures import tell_of_failure
from credstore_pipeline.resources import Credstore
from credstore_pipeline.schedules import settled, why_not
from credstore_pipeline.settings_window import at_load, where_failures_go

EVERY_S = 30
COUNTED_BELOW_S = 10.0
"""Where a digest takes longer, a tick that launches does not count drift too, which takes some four digests' time: a
tick that Dagster gives up after 60 s launches nothing, and nor would the next one."""
_SETTINGS = at_load()


@dataclass
class Seen:
    """The sensor's cursor. Its digest is keyed: without the target key it confirms no guess.

    Attributes:
        hint: Header bytes, times and sizes of the file and its -wal, as last looked into.
        digest: Of identity and secret columns then; after cutover of everything.
        asked_at: When a run was launched last, seconds since the epoch.
        behind_since: When the store was first seen to differ from the snapshot last loaded; 0 if it did not.
        drift_of: The load that drift was measured against last.
    """

    hint: str = ""
    digest: str = ""
    asked_at: float = 0.0
    behind_since: float = 0.0
    drift_of: str = ""

    @classmethod
    def read(cls, cursor: str | None) -> "Seen":
        """Read the cursor; one of another version counts as none."""
        try:
            return cls(**json.loads(cursor or "{}"))
        except (ValueError, TypeError):
            return cls()

    def write(self) -> str:
        """Give what `read` takes."""
        return json.dumps(asdict(self))


@dg.sensor(
    jobs=[jobs.resync, jobs.watch],
    name="source_changed_sensor",
    minimum_interval_seconds=EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING
    if _SETTINGS.CREDSTORE_RESYNC_ENABLED
    else dg.DefaultSensorStatus.STOPPED,
    description="Launches a re-sync soon after a name, a password or an association changed in the legacy store; "
    "after cutover it launches `watch` when somebody still writes there. Opens no password.",
)
def source_changed_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Look at a hint first, and digest the store only when that moved."""
    seen = Seen.read(context.cursor)
    with settled("source_changed_sensor") as credstore:
        state = state_of(credstore.deployment(), credstore.ring(), "source_changed_sensor")
        if state.cutover:
            return _after_cutover(credstore, state.cutover, seen)
        reason = why_not(credstore, state, context.instance)
        if reason:
            return _skip(reason, seen)
        return _in_window(credstore, state, seen)


def _in_window(credstore: Credstore, state: State, seen: Seen) -> dg.SensorResult:
    deployment = credstore.deployment()
    assert state.last
    # Before anything is read: what is written meanwhile moves it again.
    hint = source_hint(deployment.source.sqlite_path)
    loaded_since = seen.drift_of != state.last.run_id
    if hint == seen.hint and not (loaded_since and seen.behind_since):
        return _skip("The store has not changed.", seen)
    early_s = at_load().CREDSTORE_SENSOR_MIN_S - (time.time() - seen.asked_at)
    if hint != seen.hint and early_s > 0:
        return _skip(
            f"The store changed; the last run was launched less than CREDSTORE_SENSOR_MIN_S ago "
            f"({early_s:.0f} s to go).",
            seen,
        )
    began = time.monotonic()
    digest = digest_apart_from_statistics(deployment, credstore.ring())
    launches = digest != seen.digest
    counted = not launches or time.monotonic() - began < COUNTED_BELOW_S
    events = [_drift(credstore, state, seen, counted=counted)]
    seen.hint, seen.digest = hint, digest
    if not launches:
        return dg.SensorResult(
            skip_reason="Statistics alone changed; they wait for the schedule.",
            cursor=seen.write(),
            asset_events=events,
        )
    seen.asked_at = time.time()
    request = dg.RunRequest(job_name="resync", tags={"credstore/launched_by": "source_changed_sensor"})
    return dg.SensorResult(run_requests=[request], cursor=seen.write(), asset_events=events)


def _after_cutover(credstore: Credstore, cutover: Cutover, seen: Seen) -> dg.SensorResult:
    path = credstore.deployment().source.sqlite_path
    place, anew = cutover.place(path), cutover.made_anew(path)
    hint = source_hint(place)
    if not hint:
        raise SourceError(
            "source",
            f"{place} is gone; whether somebody wrote there since cutover cannot be told.",
            todo="Stop the sensor if it was removed on purpose.",
        )
    told = f"The store was {cutover.told}"
    if anew:
        hint = f"{hint}, {source_hint(anew)}"
    if hint == seen.hint:
        return _skip(f"{told}; the old file has not changed since it was looked at.", seen)
    digest = digest_of_all(credstore.deployment(), credstore.ring(), place)
    known, seen.hint, seen.digest = seen.digest, hint, digest
    if digest in (cutover.source_digest, known) and not anew:
        return _skip(f"{told}; its rows are as they were.", seen)
    request = dg.RunRequest(job_name="watch", tags={"credstore/launched_by": "source_changed_sensor"})
    return dg.SensorResult(run_requests=[request], cursor=seen.write())


def _drift(credstore: Credstore, state: State, seen: Seen, *, counted: bool) -> dg.AssetObservation:
    """How far the target is behind, as numbers that the UI plots over time; by how many rows only if that is asked."""
    assert state.last
    assert state.waiting
    rows: dict[str, int] = {}
    if counted:
        try:
            rows["rows_behind"] = find_drift(credstore.deployment(), credstore.ring(), state.last.snapshot_name).rows
        except (CouldNotCheck, SnapshotNotProven):
            # The snapshot last loaded is gone or altered; the next load takes a new one.
            rows["rows_behind"] = -1
    behind = rows.get("rows_behind", True)
    seen.behind_since = (seen.behind_since or time.time()) if behind else 0.0
    seen.drift_of = state.last.run_id
    oldest_s = round(time.time() - seen.behind_since, 1) if behind else 0.0
    return dg.AssetObservation(
        asset_key=SQLITE_STORE,
        description="How far the target is behind the legacy store.",
        metadata={
            **rows,
            "oldest_unsynced_change_s": oldest_s,
            "conflicts_waiting": state.waiting.conflicts,
            "quarantined": state.waiting.quarantined,
        },
    )


def _skip(reason: str, seen: Seen) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=reason, cursor=seen.write())


@dg.run_failure_sensor(
    name="failed_run_sensor",
    default_status=dg.DefaultSensorStatus.RUNNING if any(where_failures_go()) else dg.DefaultSensorStatus.STOPPED,
    description="Tells a command or a web address of each failed run: ids and counts alone.",
)
def failed_run_sensor(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
    """Start CREDSTORE_FAILURE_COMMAND, or post to CREDSTORE_FAILURE_WEBHOOK."""
    command, webhook = where_failures_go()
    if not (command or webhook):
        return dg.SkipReason("Neither CREDSTORE_FAILURE_COMMAND nor CREDSTORE_FAILURE_WEBHOOK is set.")
    steps = [event.step_key for event in context.get_step_failure_events()]
    run = context.dagster_run
    tell_of_failure(command, webhook, run_id=run.run_id, job=run.job_name, steps=[step or "" for step in steps])
    return None
