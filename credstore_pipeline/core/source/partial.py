"""Folders that are not finished: private, owned by a living process, swept when it is gone."""

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from credstore_pipeline.core.errors import SnapshotNotProven
from credstore_pipeline.core.lease import remove_unheld

SUFFIX = ".partial"
MAKE_ROOM = "Make room in CREDSTORE_BACKUP_DIR, or give a folder of your own there."


@contextmanager
def folder_errors() -> Iterator[None]:
    """Turn what the file system refuses into an error of ours.

    Raises:
        SnapshotNotProven: If the folder of snapshots takes no file.
    """
    try:
        yield
    except OSError as error:
        raise SnapshotNotProven(
            "snapshot",
            f"its folder cannot be written to ({errno.errorcode.get(error.errno or 0, 'OSError')}).",
            todo=MAKE_ROOM,
        ) from None


def private_folder(path: Path) -> Path:
    """Make the folder with mode 0700 unless it is there; one that is there keeps its mode.

    Raises:
        SnapshotNotProven: If it cannot be made.
    """
    with folder_errors():
        if not path.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(mode=0o700, exist_ok=True)
    return path


@contextmanager
def partial_folder(parent: Path, name: str) -> Iterator[tuple[Path, int]]:
    """Give an empty folder of mode 0700 under a partial name; it is removed at the end unless it was published.

    It is locked until then, so that `sweep` of another run leaves it alone. Its descriptor, which holds the lock, is
    given too: a duplicate of it goes on holding what was published.

    Raises:
        SnapshotNotProven: If it cannot be made.
    """
    with folder_errors():
        path, descriptor = _locked(parent, name)
    try:
        yield path, descriptor
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(descriptor)


def publish(partial: Path, final: Path) -> None:
    """Give a partial folder its final name in one step, on disk when this returns.

    Raises:
        SnapshotNotProven: If it cannot, or the final name is taken.
    """
    with folder_errors():
        for path in (*partial.iterdir(), partial):
            _sync(path)
        partial.rename(final)
        _sync(final.parent)


def sweep(parent: Path) -> int:
    """Remove partial folders that no living process holds; give how many."""
    swept = 0
    for path in sorted(parent.glob(f"*{SUFFIX}")):
        swept += remove_unheld(path)
    return swept


def _locked(parent: Path, name: str) -> tuple[Path, int]:
    while True:
        path = parent / f"{name}-{secrets.token_hex(4)}{SUFFIX}"
        path.mkdir(mode=0o700)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if path.is_dir():  # else a sweep took it between its making and our lock
            return path, descriptor
        os.close(descriptor)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
