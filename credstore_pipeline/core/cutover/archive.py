"""The legacy file renamed, or exchanged, while nobody else has it open."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from credstore_pipeline.core.errors import SourceBusy
from credstore_pipeline.core.source.connect import file_uri
from credstore_pipeline.core.source.sqlite import sqlite_errors
from credstore_pipeline.core.source.still_copy import beside
from credstore_pipeline.core.unproven import sync

ARCHIVED = ".cutover-"
"""What stands between a store's name and a time in the name of its archived file."""

_HEADER_BYTES = 28
_COMPANIONS = ("-wal", "-shm", "-journal")


@contextmanager
def alone(path: Path, *, wait_s: float = 5.0) -> Iterator[sqlite3.Connection]:
    """Hold the file exclusively, its -wal merged into it for good; nobody who has it open in WAL mode is left.

    In rollback-journal mode a connection that is idle holds nothing and cannot be seen.

    Raises:
        SourceBusy: If somebody else has it.
        SourceError: If it cannot be opened.
    """
    with sqlite_errors("source"):
        connection = sqlite3.connect(file_uri(path, "rw"), uri=True, timeout=wait_s, isolation_level=None)
    try:
        with sqlite_errors("source"):
            # Before the first access: only then is a WAL file locked as a whole.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("COMMIT")
            mode = connection.execute("PRAGMA journal_mode = DELETE").fetchone()[0]
            # With no -wal or -journal of its own, it removes none when it closes: they may be another file's by then.
            connection.execute("PRAGMA journal_mode = MEMORY")
            # The lock outlives the transaction in this mode.
            connection.execute("BEGIN EXCLUSIVE")
        if mode != "delete":
            raise SourceBusy("source", "its -wal could not be emptied", todo="Stop whoever still has it open.")
        yield connection
    finally:
        connection.close()


def rename_store(path: Path, to: Path) -> None:
    """Rename the file with -wal, -shm and -journal, on disk when this returns; to be called while `alone`."""
    move_companions(path, to)
    path.rename(to)
    sync(path.parent)


def move_companions(path: Path, to: Path) -> None:
    """Let -wal, -shm and -journal of the file be those of `to`, or be gone if they hold nothing."""
    for end in _COMPANIONS:
        companion = beside(path, end)
        if companion.exists() and any(companion.read_bytes()[:_HEADER_BYTES]):
            companion.rename(beside(to, end))
        else:  # a finished transaction leaves none, an empty one, or one whose header is zeros
            companion.unlink(missing_ok=True)


def drop_companions(path: Path) -> None:
    """Remove -wal, -shm and -journal of a file that is about to go."""
    for end in _COMPANIONS:
        beside(path, end).unlink(missing_ok=True)
