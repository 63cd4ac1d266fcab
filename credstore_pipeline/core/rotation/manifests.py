"""Snapshots are known again under the target key of now: the proofs, a rollback and the watch for late writers ask."""

import errno
import os
import sqlite3
import tempfile
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import Connection

from credstore_pipeline.core.data_key import TargetPurpose, target_subkey
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.errors import CouldNotCheck, SnapshotNotProven
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.source.connect import file_uri
from credstore_pipeline.core.source.digest import content_digest
from credstore_pipeline.core.source.manifest import MANIFEST_NAME, Manifest
from credstore_pipeline.core.source.retention import snapshot_names
from credstore_pipeline.core.source.snapshot import Snapshot, known_snapshot, prove_snapshot, snapshot_path

_STANDS = (
    "The rotation is committed and stands: readers must restart with the new key. Until the manifests are written, "
    "these snapshots are not known under it."
)
_TODO = (
    "Make room, or mend the folder, and launch `rotate_target_key` again, with the former key among "
    "CREDSTORE_SOURCE_KEYS."
)


@dataclass(frozen=True)
class Resealed:
    """A manifest that waits for the commit.

    Attributes:
        snapshot: As it was proven under a former target key; its lease keeps it from being pruned meanwhile.
        manifest: The same facts, with the digest under the target key of now.
    """

    snapshot: Snapshot
    manifest: Manifest


def reseal_books(connection: Connection, deployment: Deployment, ring: KeyRing) -> list[Resealed]:
    """Prove each snapshot, digest it under the target key of now, and tell the books; no file is written.

    A manifest that is under that key already is one that an earlier rotation got as far as writing; the books may
    not know. A snapshot that no given key proves is left as it is.

    Args:
        connection: The rotation's transaction.
        deployment: Where the snapshots are.
        ring: Its sealers but the first are the former target keys.

    Returns:
        What `write_manifests` is to write after the commit.
    """
    key = target_subkey(ring, TargetPurpose.SOURCE_DIGEST)
    former = [target_subkey(KeyRing([old]), TargetPurpose.SOURCE_DIGEST) for old in ring.sealers[1:]]
    waiting = []
    for name in snapshot_names(deployment.places.backup_dir):
        path = snapshot_path(deployment.places.backup_dir, name)
        digest = _digest_of_now(path, key)
        if digest is None:
            snapshot = _under_former(path, former)
            if snapshot is None:
                continue
            with closing(sqlite3.connect(file_uri(path), uri=True, isolation_level=None)) as copy:
                found = content_digest(copy, snapshot.shape, key)
            waiting.append(Resealed(snapshot, replace(snapshot.manifest, digest=found)))
            digest = found.value
        for table in ("runs", "cutover"):
            connection.exec_driver_sql(
                f"UPDATE credstore_sync.{table} SET source_digest = %s "
                "WHERE snapshot_name = %s AND source_digest <> %s",
                (digest, name, digest),
            )
    return waiting


def write_manifests(waiting: list[Resealed], ring: KeyRing) -> None:
    """Put the manifests in the place of the former ones, each whole or not at all; called after the commit.

    Killed before or in it, the next rotation finds those that are left and writes them.

    Raises:
        SnapshotNotProven: If some could not be written; names the first.
    """
    key = target_subkey(ring, TargetPurpose.SOURCE_DIGEST)
    failed: list[tuple[str, str]] = []
    for each in waiting:
        folder = each.snapshot.path.parent
        try:
            _replace(folder, each.manifest, key)
        except OSError as error:
            if folder.exists():  # else it was purged meanwhile
                failed.append((each.snapshot.name, errno.errorcode.get(error.errno or 0, "OSError")))
    if failed:
        name, why = failed[0]
        others = f", nor could those of {len(failed) - 1} others" if len(failed) > 1 else ""
        raise SnapshotNotProven(
            f"snapshot {name}",
            f"its manifest could not be written under the new key ({why}){others}",
            state=_STANDS,
            todo=_TODO,
        )


def _digest_of_now(path: Path, key: bytes) -> str | None:
    with suppress(SnapshotNotProven, CouldNotCheck):
        return known_snapshot(path, key).manifest.digest.value
    return None


def _under_former(path: Path, keys: list[bytes]) -> Snapshot | None:
    for key in keys:
        with suppress(SnapshotNotProven, CouldNotCheck):
            return prove_snapshot(path, key)
    return None


def _replace(folder: Path, manifest: Manifest, key: bytes) -> None:
    with tempfile.TemporaryDirectory(dir=folder, prefix="resealed-", ignore_cleanup_errors=True) as beside:
        manifest.write(Path(beside), key)
        written = Path(beside) / MANIFEST_NAME
        # Without it a lost power could leave an empty file under the name, and nothing that knows the snapshot.
        with written.open("rb") as file:
            os.fsync(file.fileno())
        written.replace(folder / MANIFEST_NAME)
