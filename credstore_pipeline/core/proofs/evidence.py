"""Reads what the proofs speak of: the snapshot last loaded, the target's rows with a base, quarantine."""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from credstore_pipeline.core.cells import cells_as_secrets, cells_as_text
from credstore_pipeline.core.frames import TABLES, Frame
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load.columns import SCHEMAS
from credstore_pipeline.core.load.meaning import Meaning
from credstore_pipeline.core.load.reading import qualified, read_rows
from credstore_pipeline.core.rules.associations import association_ids
from credstore_pipeline.core.secrets.pool import SecretPool
from credstore_pipeline.core.target.bulk import copy_out

BASE = pa.schema([("row_id", pa.string()), ("fp", pa.binary()), ("source_fp", pa.binary()), ("adopted", pa.bool_())])
"""A table's base: what the target's row was last seen to mean (`fp`), and the source's (`source_fp`)."""


@dataclass(frozen=True)
class Evidence:
    """Everything the proofs compare. Nothing in it is an opened password.

    Attributes:
        schema: The application's schema.
        source: Extracted rows of the snapshot, by table.
        source_ids: The target id that each source row must have, by table, aligned with `source`.
        source_secrets: Fingerprints of the snapshot's passwords, null where no key opens them.
        target: Target rows that have a base, by table.
        target_secrets: fingerprint, encoding and `readable` of the target's passwords, aligned with `target`.
        base: `BASE` by table.
        quarantined: source_table and source_rowid of open quarantine rows.
        tag_map: Source tag id -> target tag id.
        not_ours: Target rows without a base, by table.
        meaning: Fingerprints under the data key.
    """

    schema: str
    source: dict[str, pa.Table]
    source_ids: dict[str, pa.Array]
    source_secrets: pa.Array
    target: dict[str, pa.Table]
    target_secrets: pa.Table
    base: dict[str, pa.Table]
    quarantined: pa.Table
    tag_map: dict[str, str]
    not_ours: dict[str, int]
    meaning: Meaning


def gather(
    connection: Connection,
    schema: str,
    source: dict[str, Frame],
    ring: KeyRing,
    meaning: Meaning,
    progress: Callable[[int], None] | None = None,
) -> Evidence:
    """Read both sides once; every password is opened once on each side."""
    rows = {table: source[table].rows for table in TABLES}
    base = {table: _base(connection, table) for table in TABLES}
    known = "JOIN credstore_sync.row_state s ON s.source_table = '{0}' AND s.row_id = t.id AND s.tombstone_at IS NULL"
    target = {table: read_rows(connection, schema, table, known.format(table)) for table in TABLES}
    with SecretPool(ring, meaning.secret_key) as pool:
        source_secrets = _source_secrets(rows["credentials"], pool, progress)
        target_secrets = _target_secrets(target["credentials"], pool, progress)
    return Evidence(
        schema=schema,
        source=rows,
        source_ids={
            "tags": _ids(rows["tags"]),
            "credentials": _ids(rows["credentials"]),
            "credential_tags": association_ids(rows["credential_tags"]),
        },
        source_secrets=source_secrets,
        target=target,
        target_secrets=target_secrets,
        base=base,
        quarantined=copy_out(
            connection,
            "SELECT source_table, source_rowid FROM credstore_sync.quarantine WHERE resolved_at IS NULL",
            pa.schema([("source_table", pa.string()), ("source_rowid", pa.int64())]),
        ),
        tag_map=dict(connection.exec_driver_sql("SELECT source_id, target_id FROM credstore_sync.tag_map").all()),
        not_ours={table: _not_ours(connection, schema, table, target[table].num_rows) for table in TABLES},
        meaning=meaning,
    )


def changed_since(evidence: Evidence, table: str, ids: list[str]) -> set[str]:
    """Of the given target rows, those that mean something else than when they were last written or seen."""
    if not ids:
        return set()
    wanted = pa.array(ids, pa.string())
    stored = evidence.target[table]
    stored = stored.filter(pc.is_in(stored["id"], wanted))
    now, _ = evidence.meaning.of_stored(table, stored, only_primary=False)
    base = evidence.base[table]
    seen = base["fp"].take(pc.index_in(stored["id"], base["row_id"].combine_chunks())).to_pylist()
    width = 8 * (len(SCHEMAS[table].names) - 1)
    rows = zip(stored["id"].to_pylist(), now, seen, strict=True)
    return {row_id for row_id, found, before in rows if before is None or found.tobytes() != before[:width]}


def _base(connection: Connection, table: str) -> pa.Table:
    return copy_out(
        connection,
        "SELECT row_id, coalesce(target_fp, source_fp), source_fp, adopted FROM credstore_sync.row_state "
        f"WHERE source_table = '{table}' AND tombstone_at IS NULL",
        BASE,
    )


def _source_secrets(rows: pa.Table, pool: SecretPool, progress: Callable[[int], None] | None) -> pa.Array:
    if "password" not in rows.column_names:
        return pa.nulls(rows.num_rows, pa.binary())
    # What is not UTF-8 was quarantined and has no counterpart to be compared with.
    stored = [
        None if secret is None else secret.decode("utf-8", "replace")
        for secret in cells_as_secrets(rows["password"].combine_chunks())
    ]
    ids = [row_id or "" for row_id in _ids(rows).to_pylist()]
    read = pool.fingerprint(ids, stored, only_primary=False, progress=progress)
    return read["fingerprint"].combine_chunks()


def _target_secrets(rows: pa.Table, pool: SecretPool, progress: Callable[[int], None] | None) -> pa.Table:
    """Opens under the primary key first, and only what that does not open under the others."""
    ids, stored = rows["id"].to_pylist(), rows["password"].to_pylist()
    strict = pool.fingerprint(ids, stored, only_primary=True, progress=progress)
    prints, encodings = strict["fingerprint"].to_pylist(), strict["encoding"].to_pylist()
    readable = [value is not None for value in prints]
    left = [index for index, ok in enumerate(readable) if not ok]
    if left:
        loose = pool.fingerprint([ids[i] for i in left], [stored[i] for i in left], only_primary=False)
        for index, value, encoding in zip(
            left, loose["fingerprint"].to_pylist(), loose["encoding"].to_pylist(), strict=True
        ):
            prints[index], encodings[index] = value, encoding
    return pa.table(
        {
            "fingerprint": pa.array(prints, pa.binary()),
            "encoding": pa.array(encodings, pa.string()),
            "readable": pa.array(readable, pa.bool_()),
        }
    )


def _ids(rows: pa.Table) -> pa.Array:
    if "id" not in rows.column_names:
        return pa.nulls(rows.num_rows, pa.string())
    return cells_as_text(rows["id"].combine_chunks())[0]


def _not_ours(connection: Connection, schema: str, table: str, ours: int) -> int:
    total = connection.exec_driver_sql(f"SELECT count(*) FROM {qualified(schema, table)}").scalar_one()
    return int(total) - ours
