"""Reads what validation must know of the target; writes nothing."""

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from credstore_pipeline.core.deployment import Policies
from credstore_pipeline.core.load.columns import SCHEMAS, slots
from credstore_pipeline.core.load.meaning import Meaning
from credstore_pipeline.core.load.reading import put_ids, qualified
from credstore_pipeline.core.rules.verdict import TAGS, TargetView
from credstore_pipeline.core.sync.bases import read_base
from credstore_pipeline.core.target.bulk import copy_out
from credstore_pipeline.core.target.shape import TargetShape
from credstore_pipeline.core.target.sync import sync_exists


def view_target(
    connection: Connection, shape: TargetShape, policies: Policies, meaning: Meaning, *, agreed: bool = False
) -> TargetView:
    """Column lengths, tags, and what earlier loads mapped and repaired.

    Args:
        connection: A transaction.
        shape: The target's tables; missing ones count as the application would make them.
        policies: With `widen`, the password column has no limit.
        meaning: Fingerprints under the data key.
        agreed: Every tag of the target counts as ours: the file was written from it.
    """
    limits = {
        (table, field.name): shape.limit(table, field.name)
        for table, schema in SCHEMAS.items()
        for field in schema
        if field.type == pa.string()
    }
    if policies.password_column == "widen":
        limits["credentials", "password"] = None
    tags = TAGS.empty_table()
    if shape.present("tags"):
        tags = copy_out(connection, f"SELECT id, name, description, color FROM {qualified(shape.schema, 'tags')}", TAGS)
    if not sync_exists(connection):
        return TargetView(limits=limits, tags=tags)
    # One with a tombstone too: if it stands in the target, somebody decided that it stays, or the application made it
    # again, and both sides last agreed on its base.
    own_tags = frozenset(
        connection.exec_driver_sql("SELECT row_id FROM credstore_sync.row_state WHERE source_table = 'tags'").scalars()
    )
    return TargetView(
        limits=limits,
        tags=tags,
        tag_map=dict(_pairs(connection, "SELECT source_id, target_id FROM credstore_sync.tag_map")),
        repaired={
            (row[0], row[1], row[2]): row[3]
            for row in connection.exec_driver_sql(
                # The oldest comes last and wins: a value repaired once is not repaired to another one later.
                "SELECT source_table, source_id, column_name, value FROM credstore_sync.repairs "
                "WHERE column_name IN ('created_at', 'updated_at') OR rule = 'tag_placeholder' "
                "ORDER BY repaired_at DESC"
            )
        },
        own_tags=frozenset(tags["id"].to_pylist()) if agreed else own_tags,
        renamed_tags=_renamed(connection, tags, own_tags, meaning),
    )


def loaded_among(connection: Connection, ids: list[str]) -> frozenset[str]:
    """Which of these credentials were loaded earlier; the schema `credstore_sync` is there."""
    if not ids:
        return frozenset()
    put_ids(connection, "asked", ids)
    return frozenset(
        connection.exec_driver_sql(
            "SELECT s.row_id FROM credstore_sync.row_state s JOIN pg_temp.asked a ON a.id = s.row_id "
            "WHERE s.source_table = 'credentials' AND s.tombstone_at IS NULL"
        ).scalars()
    )


def _renamed(connection: Connection, tags: pa.Table, own: frozenset[str], meaning: Meaning) -> frozenset[str]:
    """Tags of ours whose name is another than both sides last agreed on."""
    ours = tags.filter(pc.is_in(tags["id"], value_set=pa.array(sorted(own), pa.string())))
    if not ours.num_rows:
        return frozenset()
    base = read_base(connection, "tags", ours["id"].combine_chunks(), None)
    chosen = slots("tags", ("name",))
    now = meaning.of_columns("tags", ours, ["name"])
    moved = (now != base.target[:, chosen]).any(axis=1) & (now != base.source[:, chosen]).any(axis=1)
    return frozenset(ours["id"].filter(pa.array(moved)).to_pylist())


def _pairs(connection: Connection, sql: str) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in connection.exec_driver_sql(sql)]
