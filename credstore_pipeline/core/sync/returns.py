"""Edited rows whose coming back brings others along: a pass over edited rows alone would leave those behind."""

from sqlalchemy import Connection

from credstore_pipeline.core.load.reading import put_ids, qualified


def brings_others(connection: Connection, schema: str, credentials: list[str]) -> bool:
    """Whether a pass has to look at all rows, although only some were edited in the source.

    Args:
        connection: Any transaction; the schema `credstore_sync` is there.
        schema: The application's schema.
        credentials: Ids of the edited credentials.

    Returns:
        True if one of them has a tombstone or was deleted in the target: its associations may come back with it. Or if
        a tag is missing in the target: another one may take its place for associations that nobody edited.
    """
    put_ids(connection, "edited", credentials)
    return bool(
        connection.exec_driver_sql(
            "SELECT EXISTS (SELECT FROM credstore_sync.row_state s JOIN pg_temp.edited e ON e.id = s.row_id "
            f"LEFT JOIN {qualified(schema, 'credentials')} t ON t.id = s.row_id "
            "WHERE s.source_table = 'credentials' AND (s.tombstone_at IS NOT NULL OR t.id IS NULL)) "
            "OR EXISTS (SELECT FROM (SELECT row_id AS id FROM credstore_sync.row_state WHERE source_table = 'tags' "
            "AND tombstone_at IS NULL UNION ALL SELECT target_id FROM credstore_sync.tag_map) k "
            f"WHERE NOT EXISTS (SELECT FROM {qualified(schema, 'tags')} t WHERE t.id = k.id))"
        ).scalar_one()
    )
