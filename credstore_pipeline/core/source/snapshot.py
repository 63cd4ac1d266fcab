"""One proven, consistent copy of the source: taken, and proven again later."""

import hashlib
import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from credstore_pipeline import __version__
from credstore_pipeline.core.errors import CouldNotCheck, SnapshotNotProven, SourceError
from credstore_pipeline.core.lease import Lease, lease_on
from credstore_pipeline.core.source.connect import SourceConnection, file_uri, open_source
from credstore_pipeline.core.source.digest import content_digest
from credstore_pipeline.core.source.inspect import SourceShape, inspect
from credstore_pipeline.core.source.manifest import Manifest, read_manifest
from credstore_pipeline.core.source.partial import (
    MAKE_ROOM,
    folder_errors,
    partial_folder,
    private_folder,
    publish,
    sweep,
)
from credstore_pipeline.core.source.reopen import OWN_PROCESS_BYTES, ReadBack, reading_back
from credstore_pipeline.core.source.sqlite import error_name

STORE_NAME = "store.db"
_BACKUP_PAGES = 4096
_DAMAGED = "Look at PRAGMA integrity_check on the source; REINDEX mends indexes, .recover a damaged file."


@dataclass(frozen=True)
class Snapshot:
    """A proven copy.

    Attributes:
        path: The SQLite file; its manifest lies beside it, alone in a folder of the snapshot's name.
        manifest: Its facts.
        lease: Keeps it from being pruned as long as it is referred to; None if it was removed meanwhile.
    """

    path: Path
    manifest: Manifest
    lease: Lease | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The snapshot's name: time of its beginning, then the label. Names sort by age."""
        return self.manifest.name

    @property
    def shape(self) -> SourceShape:
        """What tables there are."""
        return self.manifest.shape


def snapshot_path(backup_dir: Path, name: str) -> Path:
    """Give the file of the snapshot of that name."""
    return backup_dir / name / STORE_NAME


def take_snapshot(
    path: Path,
    backup_dir: Path,
    key: bytes,
    clock: Callable[[], datetime],
    label: str,
    *,
    busy_wait_s: float = 10.0,
    writers_blocked_max_s: float = 60.0,
    own_process_bytes: int = OWN_PROCESS_BYTES,
) -> Snapshot:
    """Copy the store into `backup_dir/<time>-<label>/store.db` and prove the copy by reading it anew.

    Copy and digest come from one read transaction. Files are 0600, folders 0700. Killed at any moment, this
    leaves partial folders alone, which the next call sweeps.

    Args:
        path: The store; its bytes are never changed, whatever state it is in (`connect.open_source`).
        backup_dir: Made if it is not there.
        key: 16 to 64 bytes, for the digest of content and the manifest's seal.
        clock: The target's clock; a time without zone is UTC.
        label: Ends the name; the run's id, say. Characters other than letters, digits and - become -.
        busy_wait_s: How long to wait for a writer that holds the store.
        writers_blocked_max_s: After this long the copy is given up as soon as a writer of the store waits for it
            (rollback journal; in WAL mode none ever does).
        own_process_bytes: From this size on the copy is read back in a process of its own.

    Raises:
        SourceBusy: If a writer holds the store too long; trying again may help.
        SourceError: If the store cannot be read, or its writers would wait too long.
        ShapeRefused: If it is no store that the pipeline knows.
        SnapshotNotProven: If the copy cannot be written, or is not what was read.
    """
    private_folder(backup_dir)
    sweep(backup_dir)
    began = _utc(clock())
    name = f"{began:%Y%m%dT%H%M%S%f}Z-{re.sub('[^A-Za-z0-9-]', '-', label)}"
    with partial_folder(backup_dir, name) as (folder, descriptor), ExitStack() as running:
        copy = folder / STORE_NAME
        with open_source(path, copies=backup_dir, busy_wait_s=busy_wait_s) as source:
            check = _patience(source, writers_blocked_max_s)
            shape = inspect(source.connection)
            _back_up(source.connection, copy, check)
            found = running.enter_context(reading_back(copy, shape, key, own_process_bytes=own_process_bytes))
            digest = content_digest(source.connection, shape, key, check=check)
        ended = _utc(clock())
        sha256 = _sha256(copy)
        back = found()
        if back.digest != digest:
            raise SnapshotNotProven("snapshot", "the copy's content is not what the source gave.", todo="Run again.")
        _require_sound(back, "The copy is what the source holds, so the source itself is damaged")
        manifest = Manifest(
            name=name,
            source_path=str(source.path),
            began_at=began,
            ended_at=ended,
            sha256=sha256,
            size_bytes=copy.stat().st_size,
            shape=shape,
            digest=digest,
            way=source.way,
            writers_blocked_s=round(source.writers_blocked_s, 6),
            pipeline_version=__version__,
        )
        with folder_errors():
            manifest.write(folder, key)
        publish(folder, backup_dir / name)
        lease = Lease(os.dup(descriptor))
    return Snapshot(snapshot_path(backup_dir, name), manifest, lease)


def prove_snapshot(path: Path, key: bytes, *, own_process_bytes: int = OWN_PROCESS_BYTES) -> Snapshot:
    """Read a snapshot of earlier anew: bytes, integrity, content.

    Args:
        path: Its file (`snapshot_path`).
        key: The one that it was taken with.
        own_process_bytes: From this size on it is read in a process of its own.

    Raises:
        CouldNotCheck: If the file or its manifest is missing or unreadable, or others may read it.
        SnapshotNotProven: If it is not what was taken.
    """
    known = known_snapshot(path, key)
    with reading_back(path, known.shape, key, own_process_bytes=own_process_bytes) as found:
        back = found()
    if back.digest != known.manifest.digest:
        where = f"snapshot {known.name}"
        raise SnapshotNotProven(where, "its content is not what was taken.", todo="Take a new snapshot.")
    _require_sound(back, "It was so when it was taken")
    return known


def known_snapshot(path: Path, key: bytes) -> Snapshot:
    """Find a snapshot of earlier by its bytes, which are those that were proven when it was taken.

    Args:
        path: Its file (`snapshot_path`).
        key: The one that it was taken with.

    Raises:
        CouldNotCheck: If the file or its manifest is missing or unreadable, or others may read it.
        SnapshotNotProven: If it was altered.
    """
    lease = lease_on(path.parent)
    manifest = read_manifest(path.parent, key)
    where = f"snapshot {manifest.name}"
    try:
        loose = any(each.stat().st_mode & 0o077 for each in (path, path.parent))
        sha256 = _sha256(path)
    except OSError:
        raise CouldNotCheck(where, "its file is missing or cannot be read.", todo="Take a new snapshot.") from None
    if loose:
        raise CouldNotCheck(where, "others may read or change it.", todo="chmod 600 the file and 700 its folder.")
    if sha256 != manifest.sha256:
        raise SnapshotNotProven(where, "its bytes were altered (SHA-256).", todo="Take a new snapshot.")
    return Snapshot(path, manifest, lease)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _patience(source: SourceConnection, max_s: float) -> Callable[[], None]:
    def check() -> None:
        if source.writers_blocked_s > max_s and source.writer_at_work():
            raise SourceError(
                "source",
                f"the copy was given up after {max_s:g} s, because a writer waits for it to end (rollback journal).",
                todo="Run it when the application is stopped: while no writer waits, it may take its time.",
            )

    return check


def _back_up(source: sqlite3.Connection, copy: Path, check: Callable[[], None]) -> None:
    with folder_errors():
        copy.touch(mode=0o600, exist_ok=False)
    target = sqlite3.connect(file_uri(copy, "rw"), uri=True, isolation_level=None)
    try:
        target.execute("PRAGMA synchronous = OFF")  # published with fsync
        source.backup(target, pages=_BACKUP_PAGES, progress=lambda *_: check())
        # The pages bring the source's WAL flag along; the copy must stand alone.
        target.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise SnapshotNotProven("snapshot", f"it could not be written ({error_name(error)}).", todo=MAKE_ROOM) from None
    finally:
        target.close()


def _require_sound(back: ReadBack, hint: str) -> None:
    if back.journal_mode != "delete":
        raise SnapshotNotProven("snapshot", f"the copy is left in journal mode {back.journal_mode}.", todo="Run again.")
    if back.problems:
        raise SnapshotNotProven(
            "snapshot",
            f"integrity_check finds {back.problems} problems. {hint}.",
            todo=_DAMAGED,
        )
