"""Who uses the server: locks that the kernel takes back when a process dies, however it dies."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from credstore_pipeline.core.errors import EmbeddedServerError

POLL_S = 0.05


@contextmanager
def only_one(path: Path, wait_s: float = 120.0) -> Iterator[None]:
    """Hold the lock under which the server is started and stopped: one process at a time.

    Raises:
        EmbeddedServerError: If another process keeps it longer than that.
    """
    descriptor = _open(path)
    try:
        deadline = time.monotonic() + wait_s
        while not _flock(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"embedded PostgreSQL, {path.parent}",
                    f"another process has been starting or stopping it for {wait_s:.0f} s.",
                    todo="Look for a stopped process of yours, end it, and run again.",
                )
            time.sleep(POLL_S)
        yield
    finally:
        _close(descriptor)


class Membership:
    """This process among the server's users, until it leaves or ends. Enter and leave under `only_one`."""

    def __init__(self, path: Path) -> None:
        """Join; others may be in already."""
        self._path = path
        self._descriptor = _open(path)
        _flock(self._descriptor, fcntl.LOCK_SH)

    def leave(self) -> bool:
        """Leave, and tell whether nobody is left."""
        _close(self._descriptor)
        descriptor = _open(self._path)
        try:
            return _flock(descriptor, fcntl.LOCK_EX)
        finally:
            _close(descriptor)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _close(descriptor: int) -> None:
    # Said, since another thread's child may hold a copy until it runs its program.
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _flock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
