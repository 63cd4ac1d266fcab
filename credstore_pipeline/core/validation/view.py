"""Reads what validation must know of the target; writes nothing."""

import pyarrow as pa
from sqlalchemy import Connection

from credstore_pipeline.core.deployment import Policies
from credstore_pipeline.core.load.columns import SCHEMAS
from credstore_pipeline.core.load.reading import qualified
from credstore_pipeline.core.rules.verdict import TAGS, TargetView
from credstore_pipeline.core.target.bulk import copy_out
from credstore_pipeline.core.target.shape import TargetShape
from credstore_pipeline.core.target.sync import sync_exists


def view_target(connection: Connection, shape: TargetShape, policies: Policies) -> TargetView:
    """Column lengths, tags, and what earlier loads mapped and repaired.

    Args:
        connection: A transaction.
        shape: The target's tables; missing ones count as the application would make them.
        policies: With `widen`, the password column has no limit.
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
        own_tags=frozenset(
            connection.exec_driver_sql(
                "SELECT row_id FROM credstore_sync.row_state WHERE source_table = 'tags' AND tombstone_at IS NULL"
            ).scalars()
        ),
    )


def _pairs(connection: Connection, sql: str) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in connection.exec_driver_sql(sql)]
