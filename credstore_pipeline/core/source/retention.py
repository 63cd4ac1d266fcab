"""Snapshots come and go; the first and the last loaded stay."""

import shutil
from collections.abc import Callable, Collection
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


def prune(backup_dir: Path, keep: int, protected: Callable[[], Collection[str]]) -> list[str]:
    """Remove the oldest snapshots beyond the newest `keep`, never a protected one; name those that went.

    One that a run still works on stays until a later call.

    Args:
        backup_dir: Where they are.
        keep: How many of the newest stay, protected ones among them included.
        protected: Gives the names that stay however old: the initial load's and the last loaded. Asked again before
            each removal, when nobody holds the snapshot any more: a run that did may have loaded it meanwhile.
    """
    names = snapshot_names(backup_dir)
    old = names[: max(0, len(names) - max(0, keep))]
    known = protected() if old else ()

    def remove(name: str) -> bool:
        leaving = backup_dir / f"{name}{SUFFIX}"
        return remove_unheld(backup_dir / name, leaving, still_unwanted=lambda: name not in protected())

    return [name for name in old if name not in known and remove(name)]


def discard(backup_dir: Path, name: str) -> None:
    """Remove a snapshot of this run's own; killed halfway, it leaves a partial folder for the next sweep."""
    leaving = backup_dir / f"{name}{SUFFIX}"
    try:
        (backup_dir / name).rename(leaving)
    except FileNotFoundError:  # another run was first
        return
    shutil.rmtree(leaving, ignore_errors=True)
