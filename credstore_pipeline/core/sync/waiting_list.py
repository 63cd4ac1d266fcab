"""Conflicts that wait for a person, as a table to be shown: ids, columns and times, no value."""

from typing import Any

from sqlalchemy import Connection

LISTED = 200
MEANING = {
    "changed": "changed on both sides",
    "deleted_in_source": "deleted in the source, changed or used in the target",
    "deleted_in_target": "deleted in the target, changed in the source",
}


def list_waiting(connection: Connection) -> tuple[int, list[dict[str, Any]]]:
    """How many wait, and the oldest of them; `resolve_conflicts` takes their `conflict`."""
    rows = connection.exec_driver_sql(
        "SELECT conflict_id, source_table, row_id, column_name, kind, date_trunc('second', seen_at), count(*) OVER () "
        "FROM credstore_sync.conflicts WHERE outcome = 'waiting' ORDER BY conflict_id LIMIT %s",
        (LISTED,),
    ).all()
    listed = [
        {
            "conflict": row[0],
            "table": row[1],
            "id": row[2],
            "column": row[3],
            "what": MEANING.get(row[4], row[4]),
            "since": row[5].isoformat(),
        }
        for row in rows
    ]
    return (int(rows[0][6]) if rows else 0), listed
