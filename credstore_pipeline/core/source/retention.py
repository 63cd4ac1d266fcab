"""Snapshots come and go; the first and the last loaded stay."""

import shutil
from collections.abc import Collection
from pathlib import Path

from credstore_pipeline.core.lease import remove_unheld
from credstore_pipeline.core.source.partial import SUFFIX
from credstore_pipeline.core.source.snapshot import snapshot_path


def snapshot_names(backup_dir: Path) -> list[str]:
    """Name the snapshots in the folder, oldest first."""
    if not backup_dir.is_dir():
        return []
    return sorted(
        p.name for p in backup_dir.iterdir() if p.suffix != SUFFIX and snapshot_path(backup_dir, p.name).is_file()
    )


def prune(backup_dir: Path, keep: int, protected: Collection[str]) -> list[str]:
    """Remove the oldest snapshots beyond the newest `keep`, never a protected one; name those that went.

    One that a run still works on stays until a later call.

    Args:
        backup_dir: Where they are.
        keep: How many of the newest stay, protected ones among them included.
        protected: Names that stay however old: the initial load's and the last loaded.
    """
    names = snapshot_names(backup_dir)
    old = names[: max(0, len(names) - max(0, keep))]
    return [
        name
        for name in old
        if name not in protected and remove_unheld(backup_dir / name, backup_dir / f"{name}{SUFFIX}")
    ]


def discard(backup_dir: Path, name: str) -> None:
    """Remove a snapshot of this run's own; killed halfway, it leaves a partial folder for the next sweep."""
    leaving = backup_dir / f"{name}{SUFFIX}"
    try:
        (backup_dir / name).rename(leaving)
    except FileNotFoundError:  # another run was first
        return
    shutil.rmtree(leaving, ignore_errors=True)
