"""A folder in use by a living process: the mark goes with the process, however that ends."""

import contextlib
import fcntl
import os
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path


class Lease:
    """A shared lock on a folder, held until `release`, until nobody refers to it, or until the process ends."""

    def __init__(self, descriptor: int) -> None:
        """Take over an open, locked folder; its lock becomes a shared one."""
        self._close = weakref.finalize(self, os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_SH)

    def release(self) -> None:
        """Let others remove the folder."""
        self._close()


def lease_new(path: Path) -> Lease:
    """Make the folder with mode 0700 unless it is there, and hold it.

    Raises:
        OSError: If it cannot be made.
    """
    while True:
        # Not exist_ok, which raises where the folder that was there is removed in the same moment.
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700, parents=True)
        lease = lease_on(path)
        if lease is not None:
            return lease


def lease_on(path: Path) -> Lease | None:
    """Hold a folder that is there; None if it is not, or is being removed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    lease = Lease(descriptor)
    if _is_at(path, descriptor):
        return lease
    # It was removed between its opening and our lock.
    lease.release()
    return None


def remove_unheld(path: Path, leaving: Path | None = None, still_unwanted: Callable[[], bool] = lambda: True) -> bool:
    """Remove a folder unless a living process holds it; tell whether this call did.

    Args:
        path: The folder.
        leaving: A name that it is given first, so that nobody ever finds half of it under its own.
        still_unwanted: Asked once nobody holds the folder nor can, until it is gone: whoever held it before has done
            by then whatever may make it wanted.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_at(path, descriptor):  # somebody else removed it, and what has its name now is another one
            return False
        if not still_unwanted():
            return False
        shutil.rmtree(path.rename(leaving) if leaving else path)
    except OSError:  # held by another run
        return False
    finally:
        os.close(descriptor)
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
