"""The new file in the old one's place, while nobody has that open; and back again if what follows fails."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from credstore_pipeline.core.cutover.archive import alone, drop_companions, move_companions
from credstore_pipeline.core.errors import SourceBusy
from credstore_pipeline.core.source.connect import file_uri
from credstore_pipeline.core.unproven import NO_LINKS, sync

ASIDE = ".before-rollback-"
_STOP = "Stop every old container, and launch again."


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
        new: The new file, on the store's disk.
        store: The store's path.
        old: Where the old file is: at the store's path, or archived, and then it stays.

    Yields:
        Where the old file is now, and whether that stays so.

    Raises:
        SourceBusy: If somebody has it open.
    """
    real = store.resolve()
    in_place = real.exists()
    aside = _free_name(store) if in_place else old
    exchange = Exchange(aside)
    ours = new.stat()
    # Before the first step: an interrupt or an error may come between any two.
    try:
        with ExitStack() as stack:
            if in_place:
                wal = _is_wal(real)
                # Emptied into the file and held until the exchange is done.
                stack.enter_context(alone(real))
                _dress(new, real, wal=wal)
                _leave_aside(real, aside)
            _move(new, real, onto=in_place)
            sync(real.parent)
        yield exchange
    except BaseException:
        if not exchange.stays:
            _undo(real, aside if in_place else None, ours)
        raise


def _free_name(store: Path) -> Path:
    """A name with the time in it: an earlier exchange in the same second has left its own file aside."""
    first = name_for(store, f"{ASIDE}{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    names = (first.with_name(f"{first.name}-{number}") for number in count(2))
    return first if not first.exists() else next(name for name in names if not name.exists())


def _leave_aside(real: Path, aside: Path) -> None:
    """Give the old file a second name; its first is never without a file, whenever the run is killed."""
    for killed in real.parent.glob(f"{real.name}{ASIDE}*"):
        if killed.samefile(real):
            killed.unlink()
    try:
        os.link(real, aside)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        # Nobody writes meanwhile: the file is held.
        shutil.copyfile(real, aside)
        _own(aside, real)
        sync(aside)
    move_companions(real, aside)
    sync(real.parent)


def _move(new: Path, real: Path, *, onto: bool) -> None:
    """Rename the new file, onto the old one or else onto nothing."""
    if not onto:
        try:
            os.link(new, real)
        except FileExistsError:
            raise SourceBusy("source", f"{real} came into being just now", todo=_STOP) from None
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
        else:
            new.unlink()
            return
    new.replace(real)


def _undo(real: Path, aside: Path | None, ours: os.stat_result) -> None:
    """Put things back as they were, from whatever step on; the new file is gone then, or still under its own name."""
    if not (real.exists() and os.path.samestat(real.stat(), ours)):
        if aside is not None:
            aside.unlink(missing_ok=True)
    elif aside is None:
        # Before the file: what is beside it would be taken for another's.
        drop_companions(real)
        real.unlink()
    else:
        drop_companions(real)
        move_companions(aside, real)
        aside.replace(real)
    sync(real.parent)


def _dress(new: Path, like: Path, *, wal: bool) -> None:
    """Give the new file the old one's mode, owner and journal mode: the application opens it as it did."""
    _own(new, like)
    if wal:
        with closing(sqlite3.connect(file_uri(new, "rw"), uri=True)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")


def _own(new: Path, like: Path) -> None:
    shutil.copymode(like, new)
    found = like.stat()
    with suppress(PermissionError):
        os.chown(new, found.st_uid, found.st_gid)


def _is_wal(path: Path) -> bool:
    with path.open("rb") as file:
        return 2 in file.read(20)[18:]
