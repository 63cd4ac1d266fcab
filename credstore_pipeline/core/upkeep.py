"""Snapshots brought back, and what the window left behind removed."""

import hashlib
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from credstore_pipeline.core.data_key import TargetPurpose, target_subkey
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.errors import CouldNotCheck, Refused, SnapshotNotProven
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.lease import remove_unheld
from credstore_pipeline.core.source.partial import SUFFIX
from credstore_pipeline.core.source.retention import snapshot_names
from credstore_pipeline.core.source.snapshot import prove_snapshot, snapshot_path
from credstore_pipeline.core.unproven import file_errors, give_name, unproven
from credstore_pipeline.core.watching import State

_NOTHING = "Nothing was written or removed."


@dataclass(frozen=True)
class Restored:
    """A snapshot that was copied out.

    Attributes:
        snapshot: Its name.
        path: The copy, 0600.
        rows: Rows in it.
    """

    snapshot: str
    path: Path
    rows: int


def restore(deployment: Deployment, ring: KeyRing, state: State, to: Path, name: str | None) -> Restored:
    """Copy a proven snapshot to a path where nothing is, and prove the copy.

    Args:
        deployment: Where the snapshots are.
        ring: Proves the snapshot.
        state: Names the one last loaded.
        to: An absolute path outside DAGSTER_HOME; never an existing file.
        name: Which snapshot; the one last loaded by default.

    Raises:
        Refused: If the path is taken or lies where it must not, or its folder takes no file.
        CouldNotCheck: If there is no such snapshot.
        SnapshotNotProven: If it was altered, or the copy differs.
    """
    if not to.is_absolute() or to.exists() or not to.parent.is_dir() or to.is_relative_to(deployment.places.home):
        raise Refused(
            "restore",
            f"{to} is taken, not absolute, below DAGSTER_HOME, or in a folder that does not exist",
            state=_NOTHING,
            todo="Write another `to`; stop the application and move its file away to restore in its place.",
        )
    chosen = name or (state.last.snapshot_name if state.last else None)
    known = snapshot_names(deployment.places.backup_dir)
    if chosen not in known:
        raise CouldNotCheck(
            "restore",
            f"there is no snapshot {chosen}",
            state=_NOTHING,
            todo=f"There are: {', '.join(known) or 'none'}.",
        )
    key = target_subkey(ring, TargetPurpose.SOURCE_DIGEST)
    snapshot = prove_snapshot(snapshot_path(deployment.places.backup_dir, chosen), key)
    with unproven(to, "restore", _NOTHING) as copy:
        with file_errors(to.parent, "restore", _NOTHING):
            shutil.copyfile(snapshot.path, copy)
            copy.chmod(0o600)
        with copy.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != snapshot.manifest.sha256:
                raise SnapshotNotProven("restore", "the copy is not the snapshot's bytes", state=_NOTHING)
        give_name(copy, to, "restore", _NOTHING)
    return Restored(chosen, to, sum(snapshot.manifest.counts.values()))


def require_over(deployment: Deployment, state: State) -> None:
    """Let pass after the window alone.

    Raises:
        Refused: While re-syncs may still come.
    """
    if state.cutover is None and not deployment.policies.window.over(datetime.now(UTC)):
        raise Refused(
            "purge",
            "the window is not over: there was no cutover, and CREDSTORE_WINDOW_END has not passed",
            state=_NOTHING,
            todo="Cut over first, or set CREDSTORE_WINDOW_END.",
        )


def purge_snapshots(deployment: Deployment, state: State, *, keep_last: bool) -> list[str]:
    """Remove snapshots, and name them. One that a run works on stays until a later call.

    Args:
        deployment: Where they are.
        state: Names the one last loaded.
        keep_last: Keep that one: verify, rollback and the check for late writers need it.
    """
    kept = state.last.snapshot_name if state.last and keep_last else None
    folder = deployment.places.backup_dir
    unwanted = [name for name in snapshot_names(folder) if name != kept]
    return [name for name in unwanted if remove_unheld(folder / name, folder / f"{name}{SUFFIX}")]
