"""What a person decided about waiting conflicts, as far as the next pass has to know."""

from sqlalchemy import Connection

from credstore_pipeline.core.load.ledger import LastLoad


def brought_back(connection: Connection, last: LastLoad | None) -> set[str]:
    """Credentials that a settlement brought back since the last load; their associations come back with them."""
    if last is None:
        return set()
    return set(
        connection.exec_driver_sql(
            "SELECT row_id FROM credstore_sync.conflicts WHERE source_table = 'credentials' "
            "AND kind = 'deleted_in_target' AND outcome = 'source' AND settled_at > %s",
            (last.finished_at,),
        ).scalars()
    )
