"""What `credstore_sync` says of runs, quarantine, conflicts and cutover; ids, reasons and times alone, read only."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from credstore_pipeline.core.cutover.record import standing_cutover
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.proofs.outcome import Verified, last_verify
from credstore_pipeline.core.target import sync_models as models
from credstore_pipeline.core.target.connect import make_engine, transaction
from credstore_pipeline.core.target.retry import retrying
from credstore_pipeline.core.target.sync import require_readable_sync

WHO = "status"
RUNS = 5
"""Runs that a status lists."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Status:
    """How things stand.

    Attributes:
        loaded: Whether there was ever a load.
        runs: The last runs that committed, the newest first.
        quarantined: Open quarantine rows by table and reason.
        waiting: Conflicts that wait for a decision.
        cut_over: When and by which run; None while both stores are live.
        verified: What the final proofs came to when they were made last; None if they never were.
    """

    loaded: bool
    runs: Rows
    quarantined: Rows
    waiting: int
    cut_over: str | None
    verified: str | None


def status(deployment: Deployment) -> Status:
    """Read how things stand.

    Raises:
        TargetError: If the target cannot be read.
    """
    return _read(deployment, _status) or Status(False, [], [], 0, None, None)


def quarantined(deployment: Deployment) -> Rows:
    """Open quarantine rows: number, table, id, reason, detail, since when."""
    rows = models.quarantine.c
    asked = (
        sa.select(rows.quarantine_id, rows.source_table, rows.source_id, rows.reason, rows.detail, rows.seen_at)
        .where(rows.resolved_at.is_(None))
        .order_by(rows.quarantine_id)
    )
    return _read(deployment, lambda connection: _rows(connection, asked)) or []


def waiting(deployment: Deployment) -> Rows:
    """Conflicts that wait: number, table, row, column, kind, since when."""
    rows = models.conflicts.c
    asked = (
        sa.select(rows.conflict_id, rows.source_table, rows.row_id, rows.column_name, rows.kind, rows.seen_at)
        .where(rows.outcome == "waiting")
        .order_by(rows.conflict_id)
    )
    return _read(deployment, lambda connection: _rows(connection, asked)) or []


def _status(connection: sa.Connection) -> Status:
    runs, held = models.runs.c, models.quarantine.c
    last = (
        sa.select(runs.run_id, runs.kind, runs.finished_at, runs.pipeline_version, runs.counts)
        .order_by(runs.finished_at.desc().nulls_last())
        .limit(RUNS)
    )
    by_reason = (
        sa.select(held.source_table, held.reason, sa.func.count().label("rows"))
        .where(held.resolved_at.is_(None))
        .group_by(held.source_table, held.reason)
        .order_by(sa.desc("rows"), held.source_table, held.reason)
    )
    count = sa.select(sa.func.count()).select_from(models.conflicts).where(models.conflicts.c.outcome == "waiting")
    cutover, verified = standing_cutover(connection), last_verify(connection)
    return Status(
        True,
        _rows(connection, last),
        _rows(connection, by_reason),
        int(connection.execute(count).scalar_one()),
        cutover.told if cutover else None,
        _told(verified) if verified else None,
    )


def _told(found: Verified) -> str:
    since = f"; run {found.changed_since} changed something since" if found.changed_since else ""
    return f"{found.told}{since}"


def _rows(connection: sa.Connection, asked: sa.Select[Any]) -> Rows:
    return [
        {
            name: value.isoformat(timespec="seconds") if isinstance(value, datetime) else value
            for name, value in row.items()
        }
        for row in connection.execute(asked).mappings()
    ]


def _read(deployment: Deployment, read: Any) -> Any:
    """Read in one transaction; None if nothing was ever loaded."""
    engine = make_engine(deployment.target, WHO)

    def once() -> Any:
        with transaction(engine, "status, schema credstore_sync") as connection:
            return read(connection) if require_readable_sync(connection) else None

    return retrying(once)
