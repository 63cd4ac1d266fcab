"""Decides, set-based, what to do with each incoming row: new, changed, gone there, or nothing."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from credstore_pipeline.core.load.meaning import Meaning, Packed, as_binary, as_packed
from credstore_pipeline.core.load.reading import put_ids, put_table, qualified, read_rows
from credstore_pipeline.core.target.bulk import copy_out

_CLASSES = pa.schema([("id", pa.string()), ("state", pa.string()), ("base_fp", pa.binary())])


@dataclass(frozen=True)
class Classes:
    """Ids by what is to happen. Rows equal to their base appear nowhere.

    Attributes:
        new: In neither the base nor the target.
        foreign: In the target without a base.
        changed: Changed in the source, as loaded in the target: to be updated.
        kept: Changed in the source and in the target since: the target's row stays.
        gone: Changed in the source, deleted in the target by the application: stays deleted.
    """

    new: list[str]
    foreign: list[str]
    changed: list[str]
    kept: list[str]
    gone: list[str]


def classify(
    connection: Connection, schema: str, table: str, ids: pa.ChunkedArray, packed: Packed, meaning: Meaning
) -> Classes:
    """Sort incoming rows against base and target; lock those that will be updated, in id order."""
    put_table(connection, "incoming", pa.table({"id": ids, "fp": as_binary(packed)}), "id text, fp bytea")
    found = copy_out(
        connection,
        f"""
        SELECT i.id,
               CASE WHEN s.row_id IS NULL AND t.id IS NULL THEN 'new'
                    WHEN s.row_id IS NULL THEN 'foreign'
                    WHEN t.id IS NULL THEN 'gone'
                    ELSE 'changed' END,
               coalesce(s.target_fp, s.source_fp)
        FROM pg_temp.incoming i
        LEFT JOIN credstore_sync.row_state s ON s.source_table = '{table}' AND s.row_id = i.id
        LEFT JOIN {qualified(schema, table)} t ON t.id = i.id
        WHERE s.row_id IS NULL OR s.source_fp <> i.fp
        """,
        _CLASSES,
    )

    def of(state: str) -> pa.Table:
        return found.filter(pc.equal(found["state"], state))

    changed = of("changed")
    updatable, kept = _untouched(connection, schema, table, changed, meaning)
    return Classes(
        of("new")["id"].to_pylist(), of("foreign")["id"].to_pylist(), updatable, kept, of("gone")["id"].to_pylist()
    )


def _untouched(
    connection: Connection, schema: str, table: str, changed: pa.Table, meaning: Meaning
) -> tuple[list[str], list[str]]:
    """Ids whose target row still is as loaded, and the others. Locks the rows it reads."""
    if not changed.num_rows:
        return [], []
    put_ids(connection, "changed_ids", changed["id"])
    connection.exec_driver_sql(
        f"SELECT 1 FROM {qualified(schema, table)} t JOIN pg_temp.changed_ids c ON c.id = t.id "
        "ORDER BY t.id FOR UPDATE OF t"
    )
    stored = read_rows(connection, schema, table, "JOIN pg_temp.changed_ids c ON c.id = t.id")
    now, opened = meaning.of_stored(table, stored, only_primary=False)
    order = pc.index_in(stored["id"], changed["id"].combine_chunks())
    base = as_packed(changed["base_fp"].take(order), now.shape[1])
    same = opened & np.asarray((now == base).all(axis=1))
    ids = stored["id"].to_pylist()
    updatable = [row_id for row_id, untouched in zip(ids, same, strict=True) if untouched]
    return updatable, [row_id for row_id, untouched in zip(ids, same, strict=True) if not untouched]
