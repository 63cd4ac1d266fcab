"""Snapshots are known again under the target key of now: the proofs, a rollback and the watch for late writers ask."""

import sqlite3
from contextlib import closing, suppress
from dataclasses import replace
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
from credstore_pipeline.core.source.snapshot import prove_snapshot, snapshot_path


def reseal_manifests(connection: Connection, deployment: Deployment, ring: KeyRing) -> int:
    """Prove each snapshot under a former target key, digest it under the one of now, and tell the books.

    A snapshot that no given key proves is left as it is.

    Args:
        connection: The rotation's transaction.
        deployment: Where the snapshots are.
        ring: Its sealers but the first are the former target keys.

    Returns:
        Snapshots that were sealed anew.
    """
    key = target_subkey(ring, TargetPurpose.SOURCE_DIGEST)
    former = [target_subkey(KeyRing([old]), TargetPurpose.SOURCE_DIGEST) for old in ring.sealers[1:]]
    done = 0
    for name in snapshot_names(deployment.places.backup_dir):
        path = snapshot_path(deployment.places.backup_dir, name)
        manifest = _manifest(path, former)
        if manifest is None:
            continue
        with closing(sqlite3.connect(file_uri(path), uri=True, isolation_level=None)) as copy:
            digest = content_digest(copy, manifest.shape, key)
        _replace(path.parent, replace(manifest, digest=digest), key)
        for table in ("runs", "cutover"):
            connection.exec_driver_sql(
                f"UPDATE credstore_sync.{table} SET source_digest = %s WHERE snapshot_name = %s AND source_digest = %s",
                (digest.value, name, manifest.digest.value),
            )
        done += 1
    return done


def _manifest(path: Path, keys: list[bytes]) -> Manifest | None:
    for key in keys:
        with suppress(SnapshotNotProven, CouldNotCheck):
            return prove_snapshot(path, key).manifest
    return None


def _replace(folder: Path, manifest: Manifest, key: bytes) -> None:
    """Write the manifest anew, whole or not at all."""
    beside = folder / "resealed"
    beside.mkdir(mode=0o700, exist_ok=True)
    (beside / MANIFEST_NAME).unlink(missing_ok=True)
    manifest.write(beside, key)
    (beside / MANIFEST_NAME).replace(folder / MANIFEST_NAME)
    beside.rmdir()
