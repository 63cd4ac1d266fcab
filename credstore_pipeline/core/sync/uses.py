"""Whether rows that are to be deleted are used by something that is not ours to delete."""

from sqlalchemy import Connection

from credstore_pipeline.core.load.reading import qualified

_REFERENCES = """
    SELECT n.nspname, r.relname, a.attname
    FROM pg_constraint c
    JOIN pg_class r ON r.oid = c.conrelid JOIN pg_namespace n ON n.oid = r.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
    WHERE c.contype = 'f' AND c.confrelid = %s::regclass AND cardinality(c.conkey) = 1
    AND NOT (n.nspname = %s AND r.relname = 'credential_tags')
"""
"""Columns of other tables that refer to one of ours."""


def used_elsewhere(connection: Connection, schema: str, table: str, place: str) -> set[str]:
    """Which of the ids in a temporary table something refers to that does not go with them.

    A credential is used by an association that the application made; those of ours go with it. A tag is used by
    every association that has it by now, and both by rows of the application's other tables.

    Args:
        connection: The load's transaction.
        schema: The application's schema.
        table: Which table the ids are of.
        place: The temporary table.
    """
    if table == "credential_tags":
        return set()
    links = qualified(schema, "credential_tags")
    if table == "tags":
        sql = f"SELECT DISTINCT l.tag_id FROM {links} l JOIN pg_temp.{place} p ON p.id = l.tag_id"
    else:
        sql = (
            f"SELECT DISTINCT l.credential_id FROM {links} l JOIN pg_temp.{place} p ON p.id = l.credential_id "
            "LEFT JOIN credstore_sync.row_state s ON s.source_table = 'credential_tags' AND s.row_id = l.id "
            "AND s.tombstone_at IS NULL WHERE s.row_id IS NULL"
        )
    used = set(connection.exec_driver_sql(sql).scalars())
    for other_schema, other, column in connection.exec_driver_sql(_REFERENCES, (qualified(schema, table), schema)):
        quoted = '"' + column.replace('"', '""') + '"'
        used |= set(
            connection.exec_driver_sql(
                f"SELECT DISTINCT o.{quoted} FROM {qualified(other_schema, other)} o "
                f"JOIN pg_temp.{place} p ON p.id = o.{quoted}"
            ).scalars()
        )
    return used
