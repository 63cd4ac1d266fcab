"""Writes what a person decided about one table's conflicts, and moves the base with it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from credstore_pipeline.core.errors import CredstoreError
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load.columns import FINGERPRINT_BYTES, SCHEMAS, fingerprinted
from credstore_pipeline.core.load.meaning import Packed, as_binary
from credstore_pipeline.core.load.prove import prove_parents, prove_written
from credstore_pipeline.core.load.reading import put_ids, put_table, qualified
from credstore_pipeline.core.load.write import Written, insert
from credstore_pipeline.core.secrets.pool import SecretPool
from credstore_pipeline.core.sync.bases import bury, put_base, read_base
from credstore_pipeline.core.sync.book import WHOLE_ROW
from credstore_pipeline.core.sync.departures import delete_with_followers, followers_of
from credstore_pipeline.core.sync.locking import Held, hold
from credstore_pipeline.core.sync.passage import Incoming, Passage, essence


@dataclass(frozen=True)
class Waits:
    """A conflict that waits, and what was decided.

    Attributes:
        conflict_id: Its id.
        table: The table.
        row_id: The row.
        column: The column, or `*`.
        kind: As recorded.
        source_fp: What the source meant by it.
        target_fp: What the target meant by it.
        source: The source's value (`{"value": …}`) or row; no opened password.
        choice: `source` or `target`.
    """

    conflict_id: int
    table: str
    row_id: str
    column: str
    kind: str
    source_fp: bytes | None
    target_fp: bytes | None
    source: Any = field(repr=False)
    choice: str


def settle_table(work: Passage, ring: KeyRing, table: str, waits: list[Waits]) -> None:
    """Settle a table's conflicts; the caller records them as settled.

    Raises:
        CredstoreError: If the target changed since a conflict was recorded.
        ProofFailed: If what was written does not read back as it was meant.
    """
    _columns(work, ring, table, [wait for wait in waits if wait.column != WHOLE_ROW])
    whole = [wait for wait in waits if wait.column == WHOLE_ROW]
    _deleted_in_source(work, table, [wait for wait in whole if wait.kind == "deleted_in_source"])
    _deleted_in_target(work, ring, table, [wait for wait in whole if wait.kind == "deleted_in_target"])


def _columns(work: Passage, ring: KeyRing, table: str, waits: list[Waits]) -> None:
    if not waits:
        return
    held = _hold(work, table, [wait.row_id for wait in waits])
    order, at = fingerprinted(table), {row_id: place for place, row_id in enumerate(held.ids.to_pylist())}
    base = read_base(work.connection, table, held.ids, "settled")
    source, target, packed = base.source.copy(), base.target.copy(), held.packed.copy()
    written, ours = set(), set()
    for name in sorted({wait.column for wait in waits}):
        mine = [wait for wait in waits if wait.column == name]
        slot = slice(order.index(name) * FINGERPRINT_BYTES, (order.index(name) + 1) * FINGERPRINT_BYTES)
        for wait in mine:
            place = at.get(wait.row_id)
            if place is None or held.packed[place, slot].tobytes() != wait.target_fp:
                raise _moved(wait)
            source[place, slot] = np.frombuffer(wait.source_fp or b"", np.uint8)
            if wait.choice == "source":
                target[place, slot] = packed[place, slot] = source[place, slot]
        taken = [wait for wait in mine if wait.choice == "source"]
        _set_column(work, ring, table, name, taken)
        written |= {wait.row_id for wait in taken}
        ours |= {wait.row_id for wait in taken if name == "password"}
    _move_base(work, table, held.ids, source, target)
    chosen = np.array([row_id in written for row_id in at], dtype=bool)
    _prove(work, table, held.ids.filter(pa.array(chosen)), packed[chosen], pa.array(sorted(ours), pa.string()))


def _set_column(work: Passage, ring: KeyRing, table: str, name: str, waits: list[Waits]) -> None:
    if not waits:
        return
    kind = SCHEMAS[table].field(name).type
    values = [_typed(wait.source["value"], kind) for wait in waits]
    ids = [wait.row_id for wait in waits]
    if name == "password":
        values, _ = _resealed(work, ring, ids, values)
    put_table(
        work.connection,
        "chosen",
        pa.table({"id": pa.array(ids, pa.string()), "value": pa.array(values, kind)}),
        f"id text, value {_SQL[kind]}",
    )
    work.connection.exec_driver_sql(
        f"UPDATE {qualified(work.schema, table)} t SET {name} = c.value FROM pg_temp.chosen c WHERE t.id = c.id"
    )


def _deleted_in_source(work: Passage, table: str, waits: list[Waits]) -> None:
    if not waits:
        return
    held = _hold(work, table, [wait.row_id for wait in waits])
    now = dict(zip(held.ids.to_pylist(), essence(table, held.packed), strict=True))
    for wait in waits:
        if now.get(wait.row_id) != wait.target_fp:
            raise _moved(wait)
    delete_with_followers(work, table, [wait.row_id for wait in waits if wait.choice == "source"])
    kept = [wait.row_id for wait in waits if wait.choice == "target"]
    bury(work.connection, table, kept)
    if table == "credentials":
        bury(work.connection, "credential_tags", followers_of(work, kept))


def _deleted_in_target(work: Passage, ring: KeyRing, table: str, waits: list[Waits]) -> None:
    if not waits:
        return
    put_ids(work.connection, "settled", [wait.row_id for wait in waits])
    back = work.connection.exec_driver_sql(
        f"SELECT t.id FROM {qualified(work.schema, table)} t JOIN pg_temp.settled s ON s.id = t.id"
    ).scalars()
    there = set(back)
    for wait in waits:
        if wait.row_id in there:
            raise _moved(wait)
    incoming = _as_incoming(work, ring, table, [wait.source for wait in waits])
    ids = incoming.rows["id"].to_pylist()
    choices = {wait.row_id: wait.choice for wait in waits}
    left = [place for place, row_id in enumerate(ids) if choices[row_id] == "target"]
    base = read_base(work.connection, table, incoming.rows["id"].combine_chunks(), "settled")
    put_base(
        work.connection,
        table,
        incoming.rows.take(pa.array(left, pa.int64())),
        incoming.packed[left],
        target=base.target[left],
        adopted=None,
    )
    inserted = incoming.subset([row_id for row_id in ids if choices[row_id] == "source"])
    insert(work, inserted)
    made = inserted.rows["id"].combine_chunks()
    _prove(work, table, made, inserted.packed, made)


def _as_incoming(work: Passage, ring: KeyRing, table: str, rows: list[dict[str, Any]]) -> Incoming:
    """Recorded rows of the source as they were validated, passwords sealed anew under the primary key."""
    schema = SCHEMAS[table]
    columns = {
        name: pa.array([_typed(row[name], schema.field(name).type) for row in rows], schema.field(name).type)
        for name in schema.names
    }
    if table == "credentials":
        ids = columns["id"].to_pylist()
        sealed, prints = _resealed(work, ring, ids, columns["password"].to_pylist())
        columns |= {"password": pa.array(sealed, pa.string()), "password_fp": pa.array(prints, pa.binary())}
    table_rows = pa.table(columns)
    return Incoming(table, table_rows, work.meaning.of_validated(table, table_rows))


def _resealed(work: Passage, ring: KeyRing, ids: list[str], stored: list[Any]) -> tuple[list[Any], list[Any]]:
    """Recorded passwords under the primary key, whatever it was when they were recorded; and their fingerprints."""
    with SecretPool(ring, work.meaning.secret_key) as pool:
        judged = pool.judge(ids, [None if text is None else text.encode() for text in stored])
    shut = pc.invert(pc.is_in(judged["verdict"], value_set=pa.array(["opened", "null", "empty"])))
    if pc.any(shut).as_py():
        raise CredstoreError(
            "credstore_sync.conflicts",
            f"no key opens {pc.sum(shut).as_py()} of the recorded passwords",
            todo="Give the target key of the run that recorded them among CREDSTORE_SOURCE_KEYS.",
        )
    return judged["sealed"].to_pylist(), judged["fingerprint"].to_pylist()


def _hold(work: Passage, table: str, ids: list[str]) -> Held:
    put_ids(work.connection, "settled", sorted(set(ids)))
    return hold(work.connection, work.schema, table, "settled", work.meaning, work.log)


def _move_base(work: Passage, table: str, ids: pa.Array, source: Packed, target: Packed) -> None:
    put_table(
        work.connection,
        "moved_base",
        pa.table({"id": ids, "source_fp": as_binary(source), "target_fp": as_binary(target)}),
        "id text, source_fp bytea, target_fp bytea",
    )
    work.connection.exec_driver_sql(
        "UPDATE credstore_sync.row_state s SET source_fp = m.source_fp, target_fp = nullif(m.target_fp, m.source_fp) "
        f"FROM pg_temp.moved_base m WHERE s.source_table = '{table}' AND s.row_id = m.id"
    )


def _prove(work: Passage, table: str, ids: pa.Array, packed: npt.NDArray[np.uint8], ours: pa.Array) -> None:
    put_ids(work.connection, f"written_{table}", ids)
    written = Written(table, whole=False, ids=ids, packed=packed, ours=ours)
    prove_written(work.connection, work.schema, {written.table: written}, work.meaning)
    if table == "credential_tags":
        prove_parents(work.connection, work.schema, written)


def _moved(wait: Waits) -> CredstoreError:
    return CredstoreError(
        f"conflict {wait.conflict_id}",
        f"{wait.table} id={wait.row_id} was changed in the target since it was recorded",
        todo="Launch `resync`, which records it anew, and decide on what it shows then.",
    )


def _typed(value: Any, kind: pa.DataType) -> Any:
    return datetime.fromisoformat(value) if value is not None and pa.types.is_timestamp(kind) else value


_SQL = {
    pa.string(): "text",
    pa.bool_(): "boolean",
    pa.float64(): "double precision",
    pa.int64(): "bigint",
    pa.timestamp("us"): "timestamp",
}
