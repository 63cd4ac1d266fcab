"""SQLite's own ways: names as it compares them, errors without the values they quote."""

import sqlite3
import string
from collections.abc import Iterator
from contextlib import contextmanager

from credstore_pipeline.core.errors import SourceBusy, SourceError

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def ascii_fold(name: str) -> str:
    """Give the name as SQLite compares it: only ASCII letters lose their case."""
    return name.translate(_FOLD)


def error_code(error: sqlite3.Error) -> int:
    """Give SQLite's primary result code, 0 if the error came from the Python module itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def error_name(error: sqlite3.Error) -> str:
    """Give SQLite's name of the error; its message may quote a value and is never shown."""
    return getattr(error, "sqlite_errorname", type(error).__name__)


@contextmanager
def sqlite_errors(where: str) -> Iterator[None]:
    """Turn SQLite's errors into ours, which name the code alone.

    Raises:
        SourceBusy: If a writer holds the file; the caller may try again.
        SourceError: For any other code.
    """
    try:
        yield
    except sqlite3.Error as error:
        if error_code(error) in _BUSY:
            raise busy(where) from None
        raise SourceError(
            where,
            f"SQLite could not read it ({error_name(error)}).",
            todo="Check the disk and the file with PRAGMA integrity_check.",
        ) from None


def busy(where: str) -> SourceBusy:
    """Make the error for a file that a writer holds."""
    return SourceBusy(
        where,
        "a writer holds it locked.",
        todo="Run again when the application is quiet, or stop the application for the time of the copy.",
    )


@contextmanager
def readable_names(connection: sqlite3.Connection) -> Iterator[None]:
    """Read names that are not UTF-8 with their bytes written out, so that they can be shown."""
    former = connection.text_factory
    connection.text_factory = lambda data: data.decode("utf-8", "backslashreplace")
    try:
        yield
    finally:
        connection.text_factory = former
