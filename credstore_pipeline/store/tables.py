"""Making the tables of an empty database, and telling the application's tables from others of the same names."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from credstore_pipeline.core.errors import ShapeRefused
from credstore_pipeline.core.target.lock import take_lock
from credstore_pipeline.core.target.tables import create_missing
from credstore_pipeline.store.errors import NOTHING_CHANGED
from credstore_pipeline.store.models import TABLES
from credstore_pipeline.store.transactions import Transactions

LOCK_WAIT_S = 20.0


def prepare_tables(transactions: Transactions, schema: str) -> None:
    """Make what is missing; without a lock, and without any right to create, if nothing is.

    Raises:
        ShapeRefused: If a table is not the application's.
        LoadLocked: If a migration is loading, and tables are missing.
    """
    found = transactions.read_consistently("looking at the tables", lambda session: _columns(session, schema))
    _require_known(found, schema)
    if len(found) < len(TABLES):
        transactions.write("making the tables", lambda session: _create(session, schema))


def _create(session: Session, schema: str) -> None:
    connection = session.connection()
    # The load's own lock: it makes these tables too.
    take_lock(connection, schema, LOCK_WAIT_S)
    create_missing(connection, schema, bare=False)


def _columns(session: Session, schema: str) -> dict[str, dict[str, str]]:
    """Return table -> column -> type, of those of the three tables that are there."""
    rows = session.execute(
        sa.text(
            "SELECT c.relname, a.attname, format_type(a.atttypid, NULL) FROM pg_catalog.pg_attribute a"
            " JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = :schema AND c.relname = ANY(:names) AND a.attnum > 0 AND NOT a.attisdropped"
        ),
        {"schema": schema, "names": list(TABLES)},
    )
    found: dict[str, dict[str, str]] = {}
    for table, column, type_ in rows:
        found.setdefault(table, {})[column] = type_
    return found


def _require_known(found: dict[str, dict[str, str]], schema: str) -> None:
    differences = []
    for table, columns in found.items():
        missing = [column.name for column in TABLES[table].columns if column.name not in columns]
        if missing:
            differences.append(f"{table} has no {', '.join(missing)}")
        if columns.get("id") not in (None, "character varying", "text"):
            differences.append(f"{table}.id is {columns['id']}")
    if differences:
        raise ShapeRefused(
            f"schema {schema}",
            f"its tables are not those of the application's versions that this store is for: {'; '.join(differences)}.",
            state=NOTHING_CHANGED,
            todo="Name the right database and schema.",
        )
