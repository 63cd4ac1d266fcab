"""What the final proofs came to when they were made last: kept in `credstore_sync.verified`, asked for by cutover."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.errors import TargetError
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.proofs.prove import Opening, prove, still_standing
from credstore_pipeline.core.sync.unchanged import carried
from credstore_pipeline.core.target.connect import make_engine, transaction
from credstore_pipeline.core.target.retry import retrying
from credstore_pipeline.core.target.sync import require_readable_sync
from credstore_pipeline.core.validation.gates import Verdict

WHERE = "proofs, schema credstore_sync"
LAUNCH = "launch the job `verify`"
MAY_ONLY_READ = ("42501", "25006")
"""SQLSTATEs of a role or a database that cannot be written to."""

CHANGES = (
    "inserted",
    "updated",
    "adopted",
    "deleted",
    "resealed",
    "rebased",
    "quarantine_opened",
    "quarantine_resolved",
)
"""Counts of a run that make proofs from before it stale."""


@dataclass(frozen=True)
class Verified:
    """The final proofs as they were made last.

    Attributes:
        run_id: By which run.
        made_at: When, by the target's clock.
        red: Names of those that block and were red; none if all held.
        changed_since: The first run since that changed something; None if none did.
    """

    run_id: str
    made_at: datetime
    red: tuple[str, ...]
    changed_since: str | None

    @property
    def told(self) -> str:
        """Outcome, time and run in a line."""
        how = f"red: {', '.join(self.red)}" if self.red else "green"
        return f"{how} at {self.made_at:%Y-%m-%d %H:%M:%S} UTC in run {self.run_id}"


def final_proofs(
    deployment: Deployment,
    ring: KeyRing,
    run_id: str,
    progress: Opening | None = None,
    log: Callable[[str], None] | None = None,
) -> dict[str, Verdict]:
    """Make the final proofs of what this run looked at; of what it left out, earlier ones stand.

    What proofs of all rows came to is kept.

    Args:
        deployment: Where both sides are.
        ring: Opens both sides.
        run_id: This run.
        progress: As for `prove`.
        log: Told if the outcome cannot be kept, for want of a right.

    Raises:
        CouldNotCheck: If there was no load, or its snapshot is missing.
        SnapshotNotProven: If its snapshot was altered.
    """
    standing = carried(deployment, run_id)
    if standing:
        if standing.since is None:
            return still_standing(standing.proven_at)
        return prove(deployment, ring, run_id, progress, since=standing)
    # Asked before the proofs read anything: what commits meanwhile counts as later than they.
    after_run = retrying(lambda: _last_run(deployment, run_id))
    verdicts = prove(deployment, ring, run_id, progress)
    try:
        retrying(lambda: _keep(deployment, run_id, after_run, verdicts))
    except TargetError as error:
        if error.sqlstate not in MAY_ONLY_READ:
            raise
        if log:
            log(f"That the proofs were made could not be recorded, so that a cutover asks for them again: {error}")
    return verdicts


def last_verify(connection: Connection) -> Verified | None:
    """Read what the proofs came to when they were made last; None if they never were.

    Args:
        connection: The schema is of our version.
    """
    row = connection.exec_driver_sql(
        "SELECT v.run_id, v.made_at AT TIME ZONE 'UTC', v.red, (SELECT n.run_id FROM credstore_sync.runs n "
        "WHERE n.finished_at > (SELECT o.finished_at FROM credstore_sync.runs o WHERE o.run_id = v.after_run) "
        "AND (n.kind NOT IN ('initial', 'resync', 'replay') OR EXISTS (SELECT FROM jsonb_each(n.counts) t, "
        "jsonb_each_text(t.value) c WHERE c.key = ANY(%s) AND c.value::bigint > 0)) "
        "ORDER BY n.finished_at LIMIT 1) "
        "FROM credstore_sync.verified v ORDER BY v.made_at DESC LIMIT 1",
        (list(CHANGES),),
    ).one_or_none()
    return Verified(row[0], row[1], tuple(row[2]), row[3]) if row else None


def refusal_of(found: Verified | None) -> str:
    """Say why a cutover cannot rely on the last verify, and what to do; empty if it can."""
    if found is None:
        return f"the stored result was never verified: {LAUNCH}"
    if found.red:
        return f"the last verify was {found.told}: mend what the checks name, and {LAUNCH}"
    if found.changed_since:
        return f"the last verify was {found.told}, and run {found.changed_since} changed something since: {LAUNCH}"
    return ""


def _last_run(deployment: Deployment, run_id: str) -> str | None:
    with transaction(make_engine(deployment.target, run_id), WHERE) as connection:
        if not require_readable_sync(connection):
            return None
        return connection.exec_driver_sql(
            "SELECT run_id FROM credstore_sync.runs ORDER BY finished_at DESC NULLS LAST LIMIT 1"
        ).scalar_one_or_none()


def _keep(deployment: Deployment, run_id: str, after_run: str | None, verdicts: Mapping[str, Verdict]) -> None:
    red = [name for name, found in verdicts.items() if found.fatal and not found.passed]
    with transaction(make_engine(deployment.target, run_id), WHERE) as connection:
        # A step that is tried again has the same run.
        connection.exec_driver_sql(
            "INSERT INTO credstore_sync.verified (run_id, after_run, red, made_at) "
            "VALUES (%s, %s, %s, clock_timestamp()) ON CONFLICT (run_id) DO UPDATE "
            "SET after_run = excluded.after_run, red = excluded.red, made_at = excluded.made_at",
            (run_id, after_run, red),
        )
