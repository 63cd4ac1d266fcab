"""The pipeline's own books in `credstore_sync`: runs, data key, quarantine, repairs, tag map."""

import json
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from sqlalchemy import Connection

from credstore_pipeline import __version__
from credstore_pipeline.core.data_key import unwrap_data_key
from credstore_pipeline.core.errors import Superseded, TargetError
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load.reading import put_ids, put_table
from credstore_pipeline.core.target.sync import require_readable_sync

Counts = dict[str, dict[str, int]]
"""Table (or `ledger`) -> what happened -> rows."""


@dataclass(frozen=True)
class LastLoad:
    """The load that committed last.

    Attributes:
        run_id: Its run.
        snapshot_name: File name of its snapshot within the backup folder.
        snapshot_ended_at: When its snapshot was complete, by the target's clock.
        source_digest: Keyed digest of the source's content.
        flavour: Of its source.
        finished_at: When it was about to commit, by the target's clock.
        published: Passwords that were published defaults when all rows were looked at last.
    """

    run_id: str
    snapshot_name: str
    snapshot_ended_at: datetime
    source_digest: str
    flavour: str | None = None
    finished_at: datetime | None = None
    published: int = 0


@dataclass(frozen=True)
class SnapshotRef:
    """The snapshot that a load takes its rows from; times by the target's clock."""

    name: str
    began_at: datetime
    ended_at: datetime
    digest: str
    flavour: str


def last_load(connection: Connection) -> LastLoad | None:
    """The load committed last, or None before the first."""
    row = connection.exec_driver_sql(
        "SELECT run_id, snapshot_name, snapshot_ended_at, source_digest, flavour, finished_at, "
        "coalesce((counts -> 'ledger' ->> 'published_defaults')::int, 0) FROM credstore_sync.runs "
        "WHERE kind IN ('initial', 'resync') ORDER BY finished_at DESC LIMIT 1"
    ).one_or_none()
    return LastLoad(*row) if row else None


def protected_snapshots(connection: Connection) -> set[str]:
    """Names of the initial load's snapshot and of the one last loaded."""
    names = connection.exec_driver_sql(
        "(SELECT snapshot_name FROM credstore_sync.runs WHERE kind = 'initial') UNION "
        "(SELECT snapshot_name FROM credstore_sync.runs WHERE kind IN ('initial', 'resync') "
        "ORDER BY finished_at DESC LIMIT 1)"
    ).scalars()
    return set(names)


def refuse_superseded(connection: Connection, snapshot: SnapshotRef) -> LastLoad | None:
    """Return the last load, refusing a snapshot that began before that one's snapshot ended.

    Raises:
        Superseded: An older snapshot must never overwrite a newer load.
    """
    last = last_load(connection)
    if last and snapshot.began_at < last.snapshot_ended_at:
        raise Superseded(
            f"snapshot {snapshot.name}",
            f"superseded: run {last.run_id} has loaded a newer one",
            todo="Nothing needs doing; launch again to take what changed since.",
        )
    return last


def settle_data_key(connection: Connection, wrapped: bytes, data_key: bytes, ring: KeyRing, run_id: str) -> bool:
    """Keep the run's data key if there is none yet, else make sure that it is the one kept.

    Returns:
        Whether it is wrapped under the primary Fernet key; otherwise under a former target key.

    Raises:
        TargetKeyChanged: If the kept one was wrapped under a key that was not given.
        TargetError: If another run kept another one meanwhile.
    """
    kept = connection.exec_driver_sql("SELECT wrapped FROM credstore_sync.data_key").scalar_one_or_none()
    if kept is None:
        connection.exec_driver_sql(
            "INSERT INTO credstore_sync.data_key (id, wrapped, created_at, created_by_run) VALUES (1, %s, now(), %s)",
            (wrapped, run_id),
        )
        return True
    unwrapped = unwrap_data_key(bytes(kept), ring)
    if unwrapped.data_key != data_key:
        raise TargetError(
            "credstore_sync.data_key", "another run made the first load meanwhile", todo="Launch the job again."
        )
    return unwrapped.by_primary


def put_tag_map(connection: Connection, tag_map: pa.Table, own: pa.ChunkedArray, run_id: str) -> None:
    """Remember source tag ids that became other ids in the target, and forget those that are tags of ours now."""
    put_ids(connection, "own_tags", own)
    connection.exec_driver_sql("DELETE FROM credstore_sync.tag_map m USING pg_temp.own_tags o WHERE m.source_id = o.id")
    if tag_map.num_rows:
        put_table(
            connection,
            "mapped",
            tag_map.select(["source_id", "target_id", "how"]),
            "source_id text, target_id text, how text",
        )
        connection.exec_driver_sql(
            "INSERT INTO credstore_sync.tag_map (source_id, target_id, how, first_run, mapped_at) "
            "SELECT source_id, target_id, how, %s, now() FROM pg_temp.mapped WHERE how <> 'remembered' "
            "ON CONFLICT (source_id) DO UPDATE SET target_id = excluded.target_id, how = excluded.how, "
            "mapped_at = excluded.mapped_at WHERE tag_map.target_id <> excluded.target_id",
            (run_id,),
        )


def put_repairs(connection: Connection, repairs: pa.Table, run_id: str) -> None:
    """List repairs; the first one of a value stays as it is."""
    if repairs.num_rows:
        columns = ["source_table", "source_id", "column_name", "rule", "value"]
        put_table(connection, "repaired", repairs.select(columns), ", ".join(f"{name} text" for name in columns))
        connection.exec_driver_sql(
            f"INSERT INTO credstore_sync.repairs ({', '.join(columns)}, first_run, repaired_at) "
            f"SELECT {', '.join(columns)}, %s, now() FROM pg_temp.repaired ON CONFLICT DO NOTHING",
            (run_id,),
        )


def put_quarantine(
    connection: Connection, quarantine: pa.Table, run_id: str, *, among: pa.Table | None = None
) -> dict[str, int]:
    """Keep one open row per source row and content; resolve what this run could migrate or no longer met.

    A refused row that was loaded earlier is a change that is refused: the target keeps its last good values.

    Args:
        connection: The load's transaction.
        quarantine: source_table, source_rowid, source_id, reason, detail, sealed_row, content_fp, row_id.
        run_id: This run.
        among: source_table, source_rowid, content_fp of those that may be resolved; all by default.

    Returns:
        Rows newly quarantined and rows resolved.
    """
    columns = "source_table, source_rowid, source_id, reason, detail, sealed_row, content_fp"
    put_table(
        connection,
        "refused",
        quarantine.select([*columns.split(", "), "row_id"]),
        "source_table text, source_rowid bigint, source_id text, reason text, detail text, sealed_row text, "
        "content_fp bytea, row_id text",
    )
    within = ""
    if among is not None:
        names = ["source_table", "source_rowid", "content_fp"]
        put_table(connection, "among", among.select(names), "source_table text, source_rowid bigint, content_fp bytea")
        within = (
            "AND EXISTS (SELECT FROM pg_temp.among r WHERE q.source_table = r.source_table "
            "AND q.source_rowid = r.source_rowid AND q.content_fp = r.content_fp) "
        )
    same = "q.source_table = r.source_table AND q.source_rowid = r.source_rowid AND q.content_fp = r.content_fp"
    resolved = connection.exec_driver_sql(
        "UPDATE credstore_sync.quarantine q SET resolved_at = now() WHERE resolved_at IS NULL "
        f"{within}AND NOT EXISTS (SELECT FROM pg_temp.refused r WHERE {same})"
    ).rowcount
    connection.exec_driver_sql(
        "UPDATE credstore_sync.quarantine q SET reason = r.reason, detail = r.detail FROM pg_temp.refused r "
        f"WHERE {same} AND q.resolved_at IS NULL AND (q.reason, q.detail) IS DISTINCT FROM (r.reason, r.detail)"
    )
    opened = connection.exec_driver_sql(
        f"INSERT INTO credstore_sync.quarantine ({columns}, first_run, seen_at, of_loaded_row) "
        f"SELECT {columns}, %s, now(), EXISTS (SELECT FROM credstore_sync.row_state s WHERE "
        "s.source_table = r.source_table AND s.row_id = r.row_id AND s.tombstone_at IS NULL) "
        "FROM pg_temp.refused r WHERE NOT EXISTS "
        f"(SELECT FROM credstore_sync.quarantine q WHERE {same} AND q.resolved_at IS NULL)",
        (run_id,),
    ).rowcount
    return {"quarantine_opened": opened, "quarantine_resolved": resolved}


def put_run(
    connection: Connection,
    *,
    run_id: str,
    kind: str,
    snapshot: SnapshotRef,
    started_at: datetime,
    counts: Counts,
    settings: str | None = None,
    edits_of: str | None = None,
) -> None:
    """Record the run; its row is the proof that its transaction committed.

    Args:
        connection: The load's transaction.
        run_id: This run.
        kind: `initial` or `resync`.
        snapshot: What was loaded.
        started_at: When the transaction began its work.
        counts: What it did.
        settings: `settings_digest`.
        edits_of: The load whose snapshot was compared with, if edited rows alone were loaded.
    """
    connection.exec_driver_sql(
        "INSERT INTO credstore_sync.runs (run_id, kind, pipeline_version, started_at, snapshot_began_at, "
        "snapshot_ended_at, finished_at, snapshot_name, source_digest, flavour, counts, settings_digest, edits_of) "
        "VALUES (%s, %s, %s, %s, %s, %s, clock_timestamp(), %s, %s, %s, %s::jsonb, %s, %s)",
        (
            run_id,
            kind,
            __version__,
            started_at,
            snapshot.began_at,
            snapshot.ended_at,
            snapshot.name,
            snapshot.digest,
            snapshot.flavour,
            json.dumps(counts),
            settings,
            edits_of,
        ),
    )


def put_event(connection: Connection, run_id: str, kind: str, started_at: datetime, counts: Counts) -> None:
    """Record a run that loaded nothing from a snapshot; its row is the proof that its transaction committed."""
    connection.exec_driver_sql(
        "INSERT INTO credstore_sync.runs (run_id, kind, pipeline_version, started_at, finished_at, counts) "
        "VALUES (%s, %s, %s, %s, clock_timestamp(), %s::jsonb)",
        (run_id, kind, __version__, started_at, json.dumps(counts)),
    )


def committed(connection: Connection, run_id: str, snapshot: SnapshotRef) -> tuple[str, Counts] | None:
    """Kind and counts of the run, if its transaction committed; None if it did not.

    Raises:
        Superseded: If it committed another snapshot's rows: these ones are not loaded, and must not pass for loaded.
    """
    row = connection.exec_driver_sql(
        "SELECT kind, counts, snapshot_began_at, snapshot_ended_at FROM credstore_sync.runs "
        "WHERE run_id = %s AND kind IN ('initial', 'resync', 'replay')",
        (run_id,),
    ).one_or_none()
    # By its times: a snapshot that is used again keeps its name.
    if row and (row[2], row[3]) != (snapshot.began_at, snapshot.ended_at):
        raise Superseded(f"snapshot {snapshot.name}", f"run {run_id} has loaded another before", todo="Launch again.")
    return (row[0], row[1]) if row else None


@dataclass(frozen=True)
class Books:
    """What the target remembers of earlier loads, as a run finds it when it starts.

    Attributes:
        last: The load committed last.
        protected: Snapshots that retention must keep.
        wrapped_data_key: The kept data key, or None before the first load.
    """

    last: LastLoad | None = None
    protected: frozenset[str] = frozenset()
    wrapped_data_key: bytes | None = None


def open_books(connection: Connection, ring: KeyRing) -> Books:
    """Read the books; refuse at once if the target is sealed under a key that was not given.

    Raises:
        TargetKeyChanged: If no key of the ring unwraps the data key.
    """
    if not require_readable_sync(connection):
        return Books()
    kept = connection.exec_driver_sql("SELECT wrapped FROM credstore_sync.data_key").scalar_one_or_none()
    if kept is not None:
        unwrap_data_key(bytes(kept), ring)
    return Books(
        last_load(connection), frozenset(protected_snapshots(connection)), None if kept is None else bytes(kept)
    )
