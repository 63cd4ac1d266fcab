"""Holds the store's write lock, in a process of its own.

SQLite's locks belong to a process, and a process loses them as soon as it closes the file anywhere else: the pass
that runs meanwhile does so. What this process was told and did not keep is undone when its input ends, so that a
run that is killed leaves the store as it was.

Imports neither Arrow nor PostgreSQL, and is given no key.
"""

import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

from credstore_pipeline.core.cutover.triggers import drop_triggers, install_triggers
from credstore_pipeline.core.source.connect import file_uri
from credstore_pipeline.core.source.sqlite import error_code, error_name

_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_UNWRITABLE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM)


class Holder:
    """One store, locked or not; each method is one command."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._connection: sqlite3.Connection | None = None
        self._blocked = False

    def freeze(self, path: str, wait_s: float) -> None:
        """Take the write lock."""
        self._connection = sqlite3.connect(file_uri(Path(path), "rw"), uri=True, timeout=wait_s, isolation_level=None)
        self._connection.execute("BEGIN IMMEDIATE")

    def clear(self) -> int:
        """Take away triggers that a killed run left, on disk when this returns; the lock is held again then."""
        connection = self._held()
        cleared = drop_triggers(connection)
        if cleared:
            connection.execute("COMMIT")
            connection.execute("BEGIN IMMEDIATE")
        return cleared

    def block(self) -> list[str]:
        """Install the triggers that refuse writes, commit, and name the tables; undone unless kept."""
        connection = self._held()
        drop_triggers(connection)
        tables = install_triggers(connection)
        self._blocked = True
        connection.execute("COMMIT")
        return tables

    def keep(self) -> None:
        """Let what was installed stand."""
        self._blocked = False

    def release(self) -> None:
        """Give the lock back, and take the triggers away that were not kept."""
        connection = self._held()
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if self._blocked:
            connection.execute("BEGIN IMMEDIATE")
            drop_triggers(connection)
            connection.execute("COMMIT")
            self._blocked = False
        connection.close()
        self._connection = None

    def end(self) -> None:
        """Undo whatever stands open."""
        if self._connection is not None:
            self.release()

    def _held(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.ProgrammingError("nothing is held")
        return self._connection


def _answer(holder: Holder, command: dict[str, Any]) -> dict[str, Any]:
    name = command.pop("do")
    try:
        return {"done": getattr(holder, name)(**command)}
    except sqlite3.Error as error:
        code = error_code(error)
        kind = "busy" if code in _BUSY else "unwritable" if code in _UNWRITABLE else "other"
        # The name alone: SQLite's message may quote a value.
        return {"wrong": error_name(error), "kind": kind}


def main() -> None:
    """Do one command a line until the input ends."""
    holder = Holder()
    try:
        for line in sys.stdin:
            sys.stdout.write(json.dumps(_answer(holder, json.loads(line))) + "\n")
            sys.stdout.flush()
    finally:
        holder.end()


if __name__ == "__main__":
    main()
