"""Which rows the source still has, as temporary tables, and which of the base it has no more."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from credstore_pipeline.core.frames import TABLES
from credstore_pipeline.core.load.meaning import as_binary
from credstore_pipeline.core.load.reading import put_ids, put_table, qualified
from credstore_pipeline.core.rules.repairs import WHOLE_COLUMN, Rule
from credstore_pipeline.core.sync.passage import Incoming
from credstore_pipeline.core.target.bulk import copy_out

_DEPARTED = pa.schema([("id", pa.string()), ("there", pa.bool_()), ("parent_id", pa.string()), ("waiting", pa.bool_())])

FILLED = (str(Rule.TIMESTAMP_FROM_OTHER), str(Rule.TIMESTAMP_FROM_SNAPSHOT))
"""Repairs that made a time up."""


@dataclass(frozen=True)
class Departed:
    """Rows of one table's base that the source has no more.

    Attributes:
        rows: `id`; `there`: still in the target; `parent_id`: an association's credential in the target;
            `waiting`: a conflict about it waits already.
        base_rows: Rows of the table's base, those with a tombstone left out.
    """

    rows: pa.Table
    base_rows: int

    def ids(self, mask: pa.ChunkedArray) -> list[str]:
        """Ids of the rows under the mask."""
        return list(self.rows["id"].filter(mask).to_pylist())


def dated(table: str, rows: pa.Table, repairs: pa.Table) -> pa.Table:
    """Add `source_updated_at`: `updated_at`, NULL where the source has none and a repair filled it in."""
    filled = pc.and_(
        pc.and_(pc.equal(repairs["source_table"], table), pc.equal(repairs["column_name"], "updated_at")),
        pc.is_in(repairs["rule"], value_set=pa.array(FILLED)),
    )
    ids = set(repairs["source_id"].filter(filled).to_pylist())
    times = rows["updated_at"].combine_chunks()
    if WHOLE_COLUMN in ids:
        times = pa.nulls(rows.num_rows, times.type)
    elif ids:
        made = pc.is_in(rows["id"].combine_chunks(), value_set=pa.array(sorted(ids)))
        times = pc.if_else(made, pa.scalar(None, times.type), times)
    return rows.append_column("source_updated_at", times)


def put_incoming(connection: Connection, incoming: Incoming) -> None:
    """Make `pg_temp.incoming_<table>`: id, fingerprint, `updated_at` and, of an association, its credential."""
    linked = incoming.table == "credential_tags"
    put_table(
        connection,
        f"incoming_{incoming.table}",
        pa.table(
            {
                "id": incoming.rows["id"],
                "fp": as_binary(incoming.packed),
                "updated_at": incoming.rows["source_updated_at"],
                "parent_id": incoming.rows["credential_id"]
                if linked
                else pa.nulls(incoming.rows.num_rows, pa.string()),
            }
        ),
        "id text, fp bytea, updated_at timestamp, parent_id text",
    )


def put_held(connection: Connection, quarantine: pa.Table, tag_map: pa.Table) -> dict[str, set[str]]:
    """Make `pg_temp.held_<table>`: ids of rows that the source has although they are not loaded from it.

    Args:
        connection: The load's transaction.
        quarantine: Quarantine rows; `row_id` is the id that the row has, or would have, in the target.
        tag_map: Tags that another tag stands for; both are held.

    Returns:
        The same ids, by table.
    """
    held = {}
    for table in TABLES:
        ids = set(quarantine["row_id"].filter(pc.equal(quarantine["source_table"], table)).drop_null().to_pylist())
        if table == "tags":
            ids |= {*tag_map["source_id"].to_pylist(), *tag_map["target_id"].to_pylist()}
        put_ids(connection, f"held_{table}", sorted(ids))
        held[table] = ids
    return held


def find_departed(connection: Connection, schema: str, table: str) -> Departed:
    """Compare the base with what is incoming or held."""
    parent = "t.credential_id" if table == "credential_tags" else "NULL::text"
    rows = copy_out(
        connection,
        f"""
        SELECT s.row_id, t.id IS NOT NULL, {parent}, c.conflict_id IS NOT NULL
        FROM credstore_sync.row_state s
        LEFT JOIN {qualified(schema, table)} t ON t.id = s.row_id
        LEFT JOIN credstore_sync.conflicts c
            ON c.outcome = 'waiting' AND c.source_table = s.source_table AND c.row_id = s.row_id AND c.column_name = '*'
        WHERE s.source_table = '{table}' AND s.tombstone_at IS NULL
        AND NOT EXISTS (SELECT FROM pg_temp.incoming_{table} i WHERE i.id = s.row_id)
        AND NOT EXISTS (SELECT FROM pg_temp.held_{table} h WHERE h.id = s.row_id)
        """,
        _DEPARTED,
    )
    count = connection.exec_driver_sql(
        "SELECT count(*) FROM credstore_sync.row_state WHERE source_table = %s AND tombstone_at IS NULL", (table,)
    ).scalar_one()
    return Departed(rows, count)
