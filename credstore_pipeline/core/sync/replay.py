"""Takes up quarantined rows again, from their sealed copies alone: the legacy store is not read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection

from credstore_pipeline.core.cells import cells_from_values
from credstore_pipeline.core.data_key import unwrap_data_key
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.errors import CouldNotCheck
from credstore_pipeline.core.frames import TABLES, Frame
from credstore_pipeline.core.judging import judge
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load.cargo import Cargo
from credstore_pipeline.core.load.ledger import SnapshotRef
from credstore_pipeline.core.load.transaction import Loaded, load
from credstore_pipeline.core.reasons import Reason
from credstore_pipeline.core.target.connect import make_engine, transaction
from credstore_pipeline.core.target.retry import retrying
from credstore_pipeline.core.target.sync import require_readable_sync
from credstore_pipeline.core.validation.quarantine import RowSealer
from credstore_pipeline.core.validation.validate import validate

NOT_BY_ITSELF = frozenset({Reason.DUPLICATE_ID, Reason.MISSING_VALUE})
"""Reasons that a row alone cannot outgrow: the rest of the file, or another row, decides."""


@dataclass(frozen=True)
class Replayed:
    """What became of the quarantined rows.

    Attributes:
        taken_up: Rows that were tried.
        resolved: Those that are loaded now.
        loaded: What the load did; None if there was nothing to try.
    """

    taken_up: int
    resolved: int
    loaded: Loaded | None = None


@dataclass(frozen=True, repr=False)
class _Held:
    rows: dict[str, list[tuple[int | None, bytes, dict[str, Any]]]]
    wrapped: bytes
    snapshot: SnapshotRef


def replay(deployment: Deployment, ring: KeyRing, run_id: str, *, log: Callable[[str], None]) -> Replayed:
    """Judge and validate the open rows of quarantine anew, load those that are good now, and mark them resolved.

    The others stay as they are. A row whose source has changed since it was quarantined is the next re-sync's.

    Args:
        deployment: Whose target.
        ring: Keys, one of them perhaps new.
        run_id: This run.
        log: Told what is done.

    Raises:
        Superseded: If a load was committed meanwhile: it may have loaded what is newer than these rows.
    """
    engine = make_engine(deployment.target, run_id)

    def read() -> _Held:
        with transaction(engine, "replay_quarantine", deployment.target.schema) as connection:
            return _read(connection, ring)

    held = retrying(read)
    taken_up = sum(len(rows) for rows in held.rows.values())
    if not taken_up:
        return Replayed(0, 0)
    log(f"{taken_up} quarantined rows are tried again.")
    extracted = {table: _frame(table, held.rows[table]) for table in TABLES}
    judged = judge(extracted["credentials"], ring, held.wrapped, deployment.policies)
    notes = {"began_at": held.snapshot.began_at.isoformat()}
    snapshot = Frame({"rows": pa.table({})}, notes)
    found = validate(deployment, ring, run_id, snapshot, extracted, judged, partial=True)
    cargo = Cargo(
        rows={table: frame.rows for table, frame in found.frames.items()},
        repairs=pa.concat_tables([frame.tables["repairs"] for frame in found.frames.values()]),
        tag_map=found.frames["tags"].tables["tag_map"],
        quarantine=found.quarantine.rows,
        snapshot=held.snapshot,
        wrapped_data_key=held.wrapped,
        data_key=unwrap_data_key(held.wrapped, ring).data_key,
        replayed=_named(held),
    )
    loaded = load(deployment, ring, run_id, cargo, log=log, partial=True)
    return Replayed(taken_up, loaded.counts["ledger"]["quarantine_resolved"], loaded)


def _read(connection: Connection, ring: KeyRing) -> _Held:
    last = None
    if require_readable_sync(connection):
        last = connection.exec_driver_sql(
            "SELECT snapshot_name, snapshot_began_at, snapshot_ended_at, source_digest, flavour "
            "FROM credstore_sync.runs WHERE kind IN ('initial', 'resync') ORDER BY finished_at DESC LIMIT 1"
        ).one_or_none()
    if last is None:
        raise CouldNotCheck("replay_quarantine", "nothing was loaded yet", todo="Launch the job `migrate` first.")
    wrapped = bytes(connection.exec_driver_sql("SELECT wrapped FROM credstore_sync.data_key").scalar_one())
    sealer = RowSealer(unwrap_data_key(wrapped, ring).data_key)
    rows: dict[str, list[tuple[int | None, bytes, dict[str, Any]]]] = {table: [] for table in TABLES}
    for table, rowid, content, sealed in connection.exec_driver_sql(
        "SELECT source_table, source_rowid, content_fp, sealed_row FROM credstore_sync.quarantine "
        "WHERE resolved_at IS NULL AND NOT reason = ANY(%s) ORDER BY source_table, source_rowid",
        ([str(reason) for reason in NOT_BY_ITSELF],),
    ):
        rows[table].append((rowid, bytes(content), sealer.open(sealed)))
    return _Held(rows, wrapped, SnapshotRef(last[0], last[1], last[2], last[3], last[4]))


def _frame(table: str, rows: list[tuple[int | None, bytes, dict[str, Any]]]) -> Frame:
    """Rows as they were extracted once, by column name."""
    names = list(dict.fromkeys(name for _, _, row in rows for name in row))
    columns = {"source_rowid": pa.array([rowid for rowid, _, _ in rows], pa.int64())}
    columns |= {name: cells_from_values([row.get(name) for _, _, row in rows]) for name in names}
    return Frame({"rows": pa.table(columns)}, {"table": table})


def _named(held: _Held) -> pa.Table:
    flat = [(table, rowid, content) for table, rows in held.rows.items() for rowid, content, _ in rows]
    return pa.table(
        {
            "source_table": pa.array([row[0] for row in flat], pa.string()),
            "source_rowid": pa.array([row[1] for row in flat], pa.int64()),
            "content_fp": pa.array([row[2] for row in flat], pa.binary()),
        }
    )
