"""The legacy store opened for one consistent read that leaves no trace.

A file whose writers can be coordinated with is read where it lies, with `mode=ro`. Otherwise (a -wal without
-shm, a WAL file without either, a journal that must be rolled back, a folder or -shm that SQLite would have to
write) it has no live writer that SQLite could wait for, and its files are copied to a private folder, digested
before and after, and opened there.
"""

import errno
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from credstore_pipeline.core.errors import ShapeRefused, SourceBusy, SourceError
from credstore_pipeline.core.source.partial import partial_folder, private_folder
from credstore_pipeline.core.source.sqlite import error_code, sqlite_errors
from credstore_pipeline.core.source.still_copy import Moved, beside, still_copy

Way = Literal["in place", "private copy"]
_WHERE = "source"
_MAGIC = b"SQLite format 3\0"
_COPY_TRIES = 3
_JOURNAL_HEADER_BYTES = 28
_NOT_IN_PLACE = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR})
"""Codes of a file that SQLite will not read without writing beside it; a broken disk fails in the copy again."""


@dataclass
class SourceConnection:
    """A store inside one read transaction.

    Attributes:
        connection: The one connection; its transaction is open.
        path: The store, with links followed.
        way: Whether it is read where it lies.
        writers_wait: True if the read transaction keeps the store's writers waiting (rollback journal, in place).
    """

    connection: sqlite3.Connection
    path: Path
    way: Way
    writers_wait: bool
    began: float
    ended: float | None = None

    @property
    def writers_blocked_s(self) -> float:
        """Seconds for which any writer had to wait at most; 0 if none ever has to."""
        return ((self.ended or time.monotonic()) - self.began) if self.writers_wait else 0.0

    def writer_at_work(self) -> bool:
        """Tell whether a writer is inside a transaction that cannot be committed before this one ends."""
        if not self.writers_wait:
            return False
        try:
            # A finished transaction leaves no journal, an empty one, or one whose header is all zeros. One that
            # waits to commit has sizes in its header already, though its magic is not written yet.
            with beside(self.path, "-journal").open("rb") as journal:
                return any(journal.read(_JOURNAL_HEADER_BYTES))
        except OSError:
            return False


def file_uri(path: Path, mode: str = "ro") -> str:
    """Give SQLite's URI of a file; characters that mean something in a URI are escaped."""
    return f"{path.absolute().as_uri()}?mode={mode}"


@contextmanager
def open_source(path: Path, *, copies: Path, busy_wait_s: float = 10.0) -> Iterator[SourceConnection]:
    """Open the store in one read transaction; its bytes are never changed.

    While the store is open, this process must not open and close the file otherwise: that would drop SQLite's locks.

    Args:
        path: The SQLite file.
        copies: Folder for a private copy, if one is needed; made with mode 0700.
        busy_wait_s: How long to wait for a writer that holds the file exclusively.

    Raises:
        SourceBusy: If a writer holds it for longer, or changes it while it is copied.
        SourceError: If it is missing, unreadable or not an SQLite file.
        ShapeRefused: If it is empty.
        SnapshotNotProven: If the folder for copies takes none.
    """
    real = _checked(path)
    for _ in range(_COPY_TRIES):
        if _coordinated(real) and (connection := _begun(real, busy_wait_s)):
            mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
            source = SourceConnection(connection, real, "in place", mode != "wal", time.monotonic())
            with _closing(source):
                yield source
            return
        with partial_folder(private_folder(copies), "copy") as (folder, _):
            try:
                copy = still_copy(real, folder)
            except Moved:
                continue
            except OSError as error:
                raise _unreadable(error) from None
            with sqlite_errors(_WHERE):
                # A journal is rolled back in the copy, which takes the right to write there.
                copied = _begin(copy, busy_wait_s, "rw" if beside(copy, "-journal").exists() else "ro")
            source = SourceConnection(copied, real, "private copy", False, time.monotonic())
            with _closing(source):
                yield source
            return
    raise SourceBusy(
        _WHERE, f"it changed while it was copied, {_COPY_TRIES} times.", todo="Run again when it is quiet."
    )


def source_hint(path: Path) -> str:
    """Give a short text that changes with nearly every commit, without reading the content; "" if there is no file.

    Bytes 24 to 27 of the header, size and modification time of the file and of its -wal: at each commit one of
    them moves, in either journal mode. Only a hint: the content digest decides. Not to be called while this
    process has the store open.
    """
    try:
        with path.open("rb") as file:
            header = file.read(28)[24:]
        state = path.stat()
    except OSError:
        return ""
    parts = [header.hex(), f"{state.st_size}.{state.st_mtime_ns}"]
    try:
        state = beside(path, "-wal").stat()
        parts.append(f"{state.st_size}.{state.st_mtime_ns}")
    except FileNotFoundError:
        parts.append("-")
    return ":".join(parts)


def _checked(path: Path) -> Path:
    try:
        real = path.resolve(strict=True)
        if not real.is_file():
            raise SourceError(_WHERE, f"{path} is no file.", todo="Check CREDSTORE_SQLITE_PATH.")
        with real.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise _unreadable(error, path) from None
    if not magic:
        # SQLite would take an empty file for an empty database, and delete a -wal beside it even with mode=ro.
        raise ShapeRefused(
            _WHERE,
            f"there is no credential store here: {path} is empty (0 bytes).",
            todo="Check CREDSTORE_SQLITE_PATH; a path relative to another folder makes such files.",
        )
    if magic != _MAGIC:
        raise SourceError(_WHERE, f"{path} is no SQLite file.", todo="Check CREDSTORE_SQLITE_PATH.")
    return real


def _coordinated(real: Path) -> bool:
    """Tell whether SQLite can wait for writers in place without making files: not for WAL without -wal and -shm."""
    try:
        with real.open("rb") as file:
            wal_format = 2 in file.read(20)[18:]
    except OSError as error:
        raise _unreadable(error) from None
    wal = beside(real, "-wal").exists()
    return (wal and beside(real, "-shm").exists()) if wal or wal_format else True


def _begun(real: Path, busy_wait_s: float) -> sqlite3.Connection | None:
    with sqlite_errors(_WHERE):
        try:
            return _begin(real, busy_wait_s, "ro")
        except sqlite3.OperationalError as error:
            if error_code(error) not in _NOT_IN_PLACE:
                raise
    return None


def _begin(path: Path, busy_wait_s: float, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(file_uri(path, mode), uri=True, timeout=busy_wait_s, isolation_level=None)
    try:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # BEGIN alone reads nothing
    except sqlite3.Error:
        connection.close()
        raise
    return connection


@contextmanager
def _closing(source: SourceConnection) -> Iterator[None]:
    try:
        yield
    finally:
        source.connection.close()
        source.ended = time.monotonic()


def _unreadable(error: OSError, path: Path | None = None) -> SourceError:
    name = errno.errorcode.get(error.errno or 0, "OSError")
    return SourceError(
        _WHERE,
        f"{path or 'the store'} cannot be read or copied ({name}).",
        todo="Check CREDSTORE_SQLITE_PATH, the rights on file and folder, and the room in CREDSTORE_BACKUP_DIR.",
    )
