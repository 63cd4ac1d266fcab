"""A copy of a store's files that is known to be of one moment: nothing moved while it was made."""

import hashlib
import os
from pathlib import Path

BESIDE = ("-wal", "-journal")
"""Files that belong to a store's content. The -shm does not: it is made anew from the -wal."""

_BLOCK_BYTES = 1 << 20


class Moved(Exception):
    """A file changed, came or went while it was copied."""


def beside(path: Path, suffix: str) -> Path:
    """Give the path of a file that SQLite keeps beside the store."""
    return path.with_name(path.name + suffix)


def still_copy(path: Path, folder: Path) -> Path:
    """Copy a store with its -wal and journal, each 0600; the copy is as if the machine had stopped just then.

    Every file is digested (SHA-256) while it is copied and again afterwards.

    Args:
        path: The store.
        folder: An empty private folder.

    Raises:
        Moved: If a digest, a size, a time or the set of files differs afterwards.
        OSError: If a file cannot be read or the copy cannot be written.
    """
    before = {name: _read(source, folder / name) for name, source in _files(path).items()}
    after = {name: _read(source, None) for name, source in _files(path).items()}
    if before != after:
        raise Moved
    return folder / path.name


def _files(path: Path) -> dict[str, Path]:
    there = [path, *(other for suffix in BESIDE if (other := beside(path, suffix)).exists())]
    return {file.name: file for file in there}


def _read(source: Path, copy: Path | None) -> tuple[str, int, int, int]:
    """Give SHA-256, inode, size and modification time, and write the copy if one is wanted."""
    digest = hashlib.sha256()
    try:
        file = source.open("rb")
    except FileNotFoundError:  # the last writer's close takes the -wal away
        raise Moved from None
    with file, open(os.devnull if copy is None else copy, "wb", opener=_private) as out:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            out.write(block)
        state = os.fstat(file.fileno())
    return digest.hexdigest(), state.st_ino, state.st_size, state.st_mtime_ns


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
