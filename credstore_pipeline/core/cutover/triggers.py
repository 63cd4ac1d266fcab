"""Triggers in the legacy store that refuse every write after cutover."""

import sqlite3

from credstore_pipeline.core.source.inspect import KNOWN_COLUMNS
from credstore_pipeline.core.source.sqlite import ascii_fold

PREFIX = "credstore_cutover_"
MESSAGE = "this store was cut over: write to PostgreSQL"
_CHANGES = ("insert", "update", "delete")


def install_triggers(connection: sqlite3.Connection) -> list[str]:
    """Make each write to the store's tables fail with `MESSAGE`, whoever writes; name the tables.

    Args:
        connection: Inside a write transaction, which the caller commits.
    """
    tables = [name for name in _tables(connection) if name in KNOWN_COLUMNS]
    for table in tables:
        for change in _CHANGES:
            connection.execute(
                f"CREATE TRIGGER {PREFIX}{table}_{change} BEFORE {change.upper()} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END"
            )
    return tables


def drop_triggers(connection: sqlite3.Connection) -> int:
    """Take them away again and tell how many there were; the caller commits."""
    names = triggers(connection)
    for name in names:
        connection.execute(f"DROP TRIGGER {name}")
    return len(names)


def triggers(connection: sqlite3.Connection) -> list[str]:
    """Name those that are there."""
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' ORDER BY name").fetchall()
    return [name for (name,) in found if name.startswith(PREFIX)]


def _tables(connection: sqlite3.Connection) -> list[str]:
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    return [ascii_fold(name) for (name,) in found]
