"""How things stand, put together from `credstore_sync`, the settings and the legacy file."""

from datetime import UTC, datetime
from typing import Any

from credstore_pipeline.core.cutover.freeze import leftover_triggers
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.drift import find_drift
from credstore_pipeline.core.errors import CouldNotCheck, CredstoreError, SourceError
from credstore_pipeline.core.keys.ring import build_ring
from credstore_pipeline.core.load.ledger import open_books
from credstore_pipeline.core.status import status
from credstore_pipeline.core.target.connect import make_engine, transaction


def standing(deployment: Deployment) -> dict[str, Any]:
    """Window, last runs, drift, last verify, conflicts, quarantine.

    Raises:
        TargetError: If the target cannot be read.
    """
    stands = status(deployment)
    closed = deployment.policies.window.closed(datetime.now(UTC))
    window = "Both stores are live: no cutover stands."
    if stands.cut_over:
        window = f"The store was {stands.cut_over}."
    elif closed:
        window = f"Both stores are live, and re-syncs do not run by themselves: {closed}."
    if stands.loaded and not stands.cut_over:
        window += _refused_writes(deployment)
    return {
        "window": window if stands.loaded else "Nothing was loaded yet.",
        "runs": stands.runs,
        "drift": _rows_behind(deployment) if stands.loaded else None,
        "verified": stands.verified,
        "conflicts_waiting": stands.waiting,
        "quarantined": stands.quarantined,
    }


def _refused_writes(deployment: Deployment) -> str:
    """Say so if triggers refuse the application's writes although nothing is cut over."""
    try:
        left = leftover_triggers(deployment.source.sqlite_path, deployment.places.backup_dir)
    except (CredstoreError, OSError):
        return ""  # what keeps it from being read is said beside the rows behind
    if not left:
        return ""
    return (
        f" But {len(left)} triggers of a cutover that was killed refuse the application's writes: the next `cutover` "
        "takes them away as it begins, or DROP TRIGGER does: " + ", ".join(left) + "."
    )


def _rows_behind(deployment: Deployment) -> int | str:
    """Rows in which the legacy file differs from the snapshot last loaded; or why that cannot be said."""
    ring = build_ring(deployment.keys)
    with transaction(make_engine(deployment.target, "status"), "status, schema credstore_sync") as connection:
        last = open_books(connection, ring).last
    if last is None:
        return "unknown: nothing was loaded yet"
    try:
        return find_drift(deployment, ring, last.snapshot_name).rows
    except (CouldNotCheck, SourceError) as error:
        return f"unknown: {error.where}: {error.wrong}"
