"""A folder in use by a living process: the mark goes with the process, however that ends."""

import fcntl
import os
import shutil
import weakref
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
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
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
    try:
        held = path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        held = False
    if held:
        return lease
    # It was removed between its opening and our lock.
    lease.release()
    return None


def remove_unheld(path: Path, leaving: Path | None = None) -> bool:
    """Remove a folder unless a living process holds it; tell whether this call did.

    Args:
        path: The folder.
        leaving: A name that it is given first, so that nobody ever finds half of it under its own.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path.rename(leaving) if leaving else path)
    except OSError:  # held by another run
        return False
    finally:
        os.close(descriptor)
    return True
