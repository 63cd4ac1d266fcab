"""The new file in the old one's place, while nobody has that open; and back again if what follows fails."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from credstore_pipeline.core.cutover.archive import alone, rename_store, sync_folder
from credstore_pipeline.core.source.connect import file_uri

ASIDE = ".before-rollback-"


def name_for(store: Path, end: str) -> Path:
    """A name beside the store's own file, links followed."""
    real = store.resolve()
    return real.with_name(real.name + end)


@dataclass
class Exchange:
    """Files that were exchanged.

    Attributes:
        aside: Where the old file is now.
        stays: The exchange is not undone, whatever the block raises: whoever set it, tells.
    """

    aside: Path
    stays: bool = False


@contextmanager
def exchanged(new: Path, store: Path, old: Path) -> Iterator[Exchange]:
    """Put `new` in the store's place, the old file with -wal and -shm aside; back if the block raises.

    Args:
        new: The new file, in the store's folder.
        store: The store's path.
        old: Where the old file is: at the store's path, or archived, and then it stays.

    Yields:
        Where the old file is now, and whether that stays so.

    Raises:
        SourceBusy: If somebody has it open.
    """
    real = store.resolve()
    in_place = real.exists()
    aside = name_for(store, f"{ASIDE}{datetime.now(UTC):%Y%m%dT%H%M%SZ}") if in_place else old
    with ExitStack() as stack:
        if in_place:
            wal = _is_wal(real)
            # Emptied into the file and held until the exchange is done.
            stack.enter_context(alone(real))
            _dress(new, real, wal=wal)
            rename_store(real, aside)
        new.rename(real)
        sync_folder(real.parent)
    exchange = Exchange(aside)
    try:
        yield exchange
    except BaseException:
        if exchange.stays:
            raise
        real.rename(new)
        if in_place:
            rename_store(aside, real)
        sync_folder(real.parent)
        raise


def _dress(new: Path, like: Path, *, wal: bool) -> None:
    """Give the new file the old one's mode, owner and journal mode: the application opens it as it did."""
    shutil.copymode(like, new)
    found = like.stat()
    with suppress(PermissionError):
        os.chown(new, found.st_uid, found.st_gid)
    if wal:
        with closing(sqlite3.connect(file_uri(new, "rw"), uri=True)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")


def _is_wal(path: Path) -> bool:
    with path.open("rb") as file:
        return 2 in file.read(20)[18:]
