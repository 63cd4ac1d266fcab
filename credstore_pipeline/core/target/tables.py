"""Making the application's tables, and changing the one column that an operator may ask us to change."""

import time
from collections.abc import Callable, Collection

import sqlalchemy as sa
from sqlalchemy.schema import AddConstraint, CreateIndex, CreateSchema, CreateTable

from credstore_pipeline.core.errors import TargetError, TransientTargetError
from credstore_pipeline.core.target.connect import quoted, transaction
from credstore_pipeline.core.target.lock import describe_sessions
from credstore_pipeline.core.target.models import application_tables, tables_by_name

WIDEN_LOCK_MAX_S = 2.0
WIDEN_TRIES = 3
WIDEN_PAUSE_S = 1.0


def create_missing(
    connection: sa.Connection, schema: str, *, bare: bool, wide_password: bool = False
) -> frozenset[str]:
    """Create those of the three tables that are missing, and the schema; existing ones are left as they are.

    Args:
        connection: The load's, holding its lock.
        schema: Where the tables belong.
        bare: Without keys and indexes, which `add_keys` adds later in the same transaction.
        wide_password: Make `credentials.password` text.

    Returns:
        The names of the tables that were made; the only ones `add_keys` may be given.
    """
    inspector = sa.inspect(connection)
    if not inspector.has_schema(schema):
        connection.execute(CreateSchema(schema))
    tables = tables_by_name(application_tables(schema, bare=bare, wide_password=wide_password))
    missing = [table for name, table in tables.items() if not inspector.has_table(name, schema)]
    for table in missing:
        connection.execute(CreateTable(table))
        for index in _indexes(table):
            connection.execute(CreateIndex(index))
    return frozenset(table.name for table in missing)


def add_keys(connection: sa.Connection, schema: str, created: Collection[str]) -> None:
    """Give tables that were made bare in this transaction their keys and indexes, under the application's names.

    Args:
        connection: The one that made them.
        schema: Where they are.
        created: What `create_missing` returned.
    """
    tables = [table for name, table in tables_by_name(application_tables(schema)).items() if name in created]
    for table in tables:
        connection.execute(AddConstraint(table.primary_key))
        for index in _indexes(table):
            connection.execute(CreateIndex(index))
    # Foreign keys at the end: they need the primary keys of all.
    for table in tables:
        for constraint in sorted(table.foreign_key_constraints, key=lambda found: str(found.name)):
            connection.execute(AddConstraint(constraint))
    # The proof reads these tables before autovacuum ever sees them.
    for table in tables:
        connection.execute(sa.text(f"ANALYZE {quoted(schema, table.name)}"))


def widen_password(
    engine: sa.Engine,
    schema: str,
    *,
    tries: int = WIDEN_TRIES,
    lock_max_s: float = WIDEN_LOCK_MAX_S,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Make `credentials.password` text, in a transaction of its own; the table is not rewritten.

    A waiting ALTER TABLE makes every later reader of the table wait behind it, so each try waits 2 s at most.

    Args:
        engine: The target.
        schema: Where the table is.
        tries: How often to ask for the table.
        lock_max_s: How long each time.
        sleep: Waits between tries, in seconds.

    Returns:
        Whether anything was changed: not if there is no such table yet, or the column has no limit.

    Raises:
        TargetError: If the column cannot be changed; names the sessions in the way.
    """
    table = quoted(schema, "credentials")
    for attempt in range(1, tries + 1):
        try:
            with transaction(engine, "widening credentials.password", schema, lock_max_s=lock_max_s) as connection:
                if not _is_limited(connection, table):
                    return False
                connection.execute(sa.text(f"ALTER TABLE {table} ALTER COLUMN password TYPE text"))
                return True
        except TransientTargetError as error:
            if error.sqlstate != "55P03":
                raise
            if attempt < tries:
                sleep(WIDEN_PAUSE_S)
    raise TargetError(
        "widening credentials.password",
        f"the table was in use at each of {tries} tries: {_users(engine, table)}.",
        sqlstate="55P03",
        todo="End those sessions or transactions, and run again; or set CREDSTORE_PASSWORD_COLUMN=keep.",
    )


def _indexes(table: sa.Table) -> list[sa.Index]:
    return sorted(table.indexes, key=lambda index: str(index.name))


def _is_limited(connection: sa.Connection, table: str) -> bool:
    found = connection.execute(
        sa.text(
            "SELECT atttypmod FROM pg_attribute"
            " WHERE attrelid = to_regclass(:table) AND attname = 'password' AND NOT attisdropped"
        ),
        {"table": table},
    ).scalar()
    return found is not None and found >= 0


def _users(engine: sa.Engine, table: str) -> str:
    with transaction(engine, "looking for sessions in the way") as connection:
        pids = connection.execute(
            sa.text(
                "SELECT DISTINCT pid FROM pg_locks WHERE granted AND pid <> pg_backend_pid() AND locktype = 'relation'"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                " AND relation = to_regclass(:table) ORDER BY pid"
            ),
            {"table": table},
        ).scalars()
        return describe_sessions(connection, list(pids)) or "by sessions that are gone now"
