"""The record of a cutover in `credstore_sync.cutover`: while one stands, nothing is loaded."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection

from credstore_pipeline.core.errors import CutOver, Refused


@dataclass(frozen=True)
class Cutover:
    """A cutover that stands.

    Attributes:
        run_id: Its run.
        source_path: The store as it was named then.
        snapshot_name: The snapshot of its final pass.
        source_digest: Keyed digest of that snapshot's content.
        writers_blocked: Whether triggers in the file refuse writes.
        archived_as: The file's new name, if it was renamed.
        cut_over_at: When, by the target's clock.
    """

    run_id: str
    source_path: str
    snapshot_name: str
    source_digest: str
    writers_blocked: bool
    archived_as: str | None
    cut_over_at: datetime

    @property
    def told(self) -> str:
        """When and by which run, for a message."""
        return f"cut over at {self.cut_over_at:%Y-%m-%d %H:%M:%S} UTC by run {self.run_id}"

    def place(self, sqlite_path: Path) -> Path:
        """Where the file is now, beside the store's path of today: the folder may be mounted elsewhere by now.

        The new name is recorded before it is given: a run that ended between the two left the file where it was.
        """
        archived = self._archived(sqlite_path)
        return archived if archived and (archived.exists() or not sqlite_path.exists()) else sqlite_path

    def made_anew(self, sqlite_path: Path) -> Path | None:
        """A file at the store's own path although the store was renamed: an old container made it, and writes there."""
        archived = self._archived(sqlite_path)
        return sqlite_path if archived and archived.exists() and sqlite_path.exists() else None

    def _archived(self, sqlite_path: Path) -> Path | None:
        return sqlite_path.resolve().with_name(Path(self.archived_as).name) if self.archived_as else None


def standing_cutover(connection: Connection) -> Cutover | None:
    """Read the cutover that stands; None before one, after a rollback, and in a schema older than cutovers."""
    if connection.execute(sa.select(sa.func.to_regclass("credstore_sync.cutover"))).scalar() is None:
        return None
    row = connection.exec_driver_sql(
        "SELECT run_id, source_path, snapshot_name, source_digest, writers_blocked, archived_as, "
        "cut_over_at AT TIME ZONE 'UTC' FROM credstore_sync.cutover WHERE cleared_at IS NULL "
        "ORDER BY cut_over_at DESC LIMIT 1"
    ).one_or_none()
    return Cutover(*row) if row else None


def refuse_after_cutover(connection: Connection) -> None:
    """Let nothing be loaded from a store that was cut over.

    Raises:
        CutOver: While a cutover stands.
    """
    standing = standing_cutover(connection)
    if standing:
        raise CutOver(
            f"store {standing.source_path}",
            f"it was {standing.told}; PostgreSQL alone counts since then",
            todo="To take from this file again, launch `rollback_export` with `swap: true`; it clears the record.",
        )


def refuse_later_runs(connection: Connection, run_id: str) -> None:
    """Let pass if no run of whatever kind wrote to the target after the load of this one, whose proofs count.

    Args:
        connection: Holds the load's lock: nobody comes after this look.
        run_id: The run of the final pass.

    Raises:
        Refused: Naming the run; or if this one's load is not there.
    """
    later = connection.exec_driver_sql(
        "SELECT n.run_id, n.kind FROM (SELECT 1) one LEFT JOIN credstore_sync.runs o ON o.run_id = %s "
        "LEFT JOIN credstore_sync.runs n ON n.run_id <> o.run_id AND n.finished_at >= o.finished_at "
        "WHERE o.run_id IS NULL OR n.run_id IS NOT NULL ORDER BY n.finished_at LIMIT 1",
        (run_id,),
    ).one_or_none()
    if later:
        who = f"run {later[0]} ({later[1]})" if later[0] else "another run"
        raise Refused("cutover", f"{who} wrote to the target after the final pass", todo="Launch again.")


def record_cutover(
    connection: Connection,
    *,
    run_id: str,
    source_path: str,
    snapshot_name: str,
    source_digest: str,
    writers_blocked: bool,
) -> None:
    """Record the cutover in the caller's transaction, which holds the load's lock."""
    connection.exec_driver_sql(
        "INSERT INTO credstore_sync.cutover (run_id, source_path, snapshot_name, source_digest, writers_blocked, "
        "cut_over_at) VALUES (%s, %s, %s, %s, %s, clock_timestamp())",
        (run_id, source_path, snapshot_name, source_digest, writers_blocked),
    )


def record_archive(connection: Connection, run_id: str, archived_as: str) -> None:
    """Remember the file's new name."""
    connection.exec_driver_sql(
        "UPDATE credstore_sync.cutover SET archived_as = %s WHERE run_id = %s", (archived_as, run_id)
    )


def clear_cutover(connection: Connection, run_id: str) -> bool:
    """End the cutover that stands, in the caller's transaction; tell whether there was one."""
    cleared = connection.exec_driver_sql(
        "UPDATE credstore_sync.cutover SET cleared_at = clock_timestamp(), cleared_by_run = %s "
        "WHERE cleared_at IS NULL",
        (run_id,),
    ).rowcount
    return bool(cleared)


def is_recorded_by(connection: Connection, run_id: str) -> bool:
    """Tell whether the cutover that stands is this run's."""
    standing = standing_cutover(connection)
    return standing is not None and standing.run_id == run_id


def is_cleared_by(connection: Connection, run_id: str) -> bool:
    """Tell whether this run ended a cutover."""
    found = connection.exec_driver_sql(
        "SELECT count(*) FROM credstore_sync.cutover WHERE cleared_by_run = %s", (run_id,)
    ).scalar_one()
    return bool(found)
