"""The base of rows, `credstore_sync.row_state`: read for a merge, written with the row."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from credstore_pipeline.core.load.columns import COUNTERS, FINGERPRINT_BYTES, fingerprinted
from credstore_pipeline.core.load.meaning import Packed, as_binary, as_packed
from credstore_pipeline.core.load.reading import put_ids, put_table
from credstore_pipeline.core.sync.merge import Base
from credstore_pipeline.core.target.bulk import copy_in, copy_out

_READ = pa.schema(
    [("row_id", pa.string()), ("source_fp", pa.binary()), ("target_fp", pa.binary())]
    + [(name, pa.int64()) for name in (*COUNTERS, *(f"target_{name}" for name in COUNTERS))]
)
_WRITTEN = (
    "source_table text, row_id text, source_fp bytea, target_fp bytea, success_count int, failure_count int, "
    "target_success_count int, target_failure_count int, adopted boolean, source_updated_at timestamp"
)


def read_base(connection: Connection, table: str, ids: pa.Array, place: str | None) -> Base:
    """The base of the rows with the given ids, in their order.

    Args:
        connection: The load's transaction.
        table: Which table they are of.
        ids: Ids of rows that have a base.
        place: A temporary table that holds at least them; None reads the whole table's base.
    """
    among = f"JOIN pg_temp.{place} i ON i.id = s.row_id " if place else ""
    found = copy_out(
        connection,
        "SELECT s.row_id, s.source_fp, coalesce(s.target_fp, s.source_fp), s.success_count, s.failure_count, "
        "s.target_success_count, s.target_failure_count FROM credstore_sync.row_state s "
        f"{among}WHERE s.source_table = '{table}'",
        _READ,
    )
    found = found.take(pc.index_in(ids, found["row_id"].combine_chunks()))
    width = FINGERPRINT_BYTES * len(fingerprinted(table))
    return Base(
        as_packed(found["source_fp"], width),
        as_packed(found["target_fp"], width),
        {name: found[name].combine_chunks() for name in COUNTERS},
        {name: found[f"target_{name}"].combine_chunks() for name in COUNTERS},
    )


def put_base(
    connection: Connection,
    table: str,
    rows: pa.Table,
    source: Packed,
    *,
    target: Packed | None = None,
    stored: pa.Table | None = None,
    adopted: bool | None = False,
) -> None:
    """Record what both sides were last agreed to be; a tombstone of the rows goes.

    Args:
        connection: The load's transaction.
        table: Which table the rows are of.
        rows: Validated rows of the source: id, counters, perhaps `source_updated_at`.
        source: Fingerprints of the source's side, one row a row.
        target: Those of the target's side; the source's where left out.
        stored: The target's rows in the same order, for its counters; as the source's where left out.
        adopted: Whether the rows stood in the target before us; None leaves what is known.
    """
    count = rows.num_rows
    if not count:
        return
    columns = {
        "source_table": pa.repeat(pa.scalar(table), count),
        "row_id": rows["id"],
        "source_fp": as_binary(source),
        "target_fp": pa.nulls(count, pa.large_binary()) if target is None else _where_other(target, source),
    }
    nothing = pa.nulls(count, pa.int64())
    counted = table != "tags"
    for name in COUNTERS:
        columns[name] = rows[name] if counted else nothing
        columns[f"target_{name}"] = nothing
        if counted and stored is not None:
            ours, theirs = rows[name], stored[name].cast(pa.int64())
            columns[f"target_{name}"] = pc.if_else(pc.equal(ours, theirs), pa.scalar(None, pa.int64()), theirs)
    columns["adopted"] = pa.repeat(pa.scalar(bool(adopted)), count)
    dated = "source_updated_at" in rows.column_names
    columns["source_updated_at"] = rows["source_updated_at"] if dated else pa.nulls(count, pa.timestamp("us"))
    names = [column.split()[0] for column in _WRITTEN.split(", ")]
    base = pa.table({name: columns[name] for name in names})
    empty = connection.exec_driver_sql(
        "SELECT NOT EXISTS (SELECT FROM credstore_sync.row_state WHERE source_table = %s)", (table,)
    ).scalar_one()
    if empty:
        copy_in(connection, base, '"credstore_sync"."row_state"', names)
        return
    put_table(connection, "base", base, _WRITTEN)
    listed = ", ".join(names)
    kept = ("adopted",) if adopted is None else ()
    assigned = ", ".join(f"{name} = excluded.{name}" for name in names[2:] if name not in kept)
    connection.exec_driver_sql(
        f"INSERT INTO credstore_sync.row_state ({listed}) SELECT {listed} FROM pg_temp.base "
        f"ON CONFLICT (source_table, row_id) DO UPDATE SET {assigned}, tombstone_at = NULL"
    )


def bury(connection: Connection, table: str, ids: list[str]) -> None:
    """Mark rows as gone from the source: they are nobody's any more, and do not come back unless they changed."""
    if ids:
        put_ids(connection, "buried", ids)
        connection.exec_driver_sql(
            "UPDATE credstore_sync.row_state s SET tombstone_at = clock_timestamp() FROM pg_temp.buried b "
            f"WHERE s.source_table = '{table}' AND s.row_id = b.id"
        )


def _where_other(target: Packed, source: Packed) -> pa.Array:
    """The target's fingerprints, NULL where they are the source's: that saves half of the table."""
    same: npt.NDArray[np.bool_] = (target == source).all(axis=1)
    return pc.if_else(pa.array(same), pa.scalar(None, pa.large_binary()), as_binary(target))
