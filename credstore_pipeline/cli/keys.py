"""Which keys there are and how many rows each opened, by public names alone."""

from typing import Any

from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.keys.ring import build_ring
from credstore_pipeline.core.report import RunReport
from credstore_pipeline.report.sections import CENSUS
from credstore_pipeline.report.sections import keys as keys_of
from credstore_pipeline.report.told import Told


def keys_in_use(deployment: Deployment) -> list[dict[str, Any]]:
    """Each key of the ring, the primary first, with the rows of SQLite that it opened at the last census.

    Raises:
        KeyRingError: If a key file cannot be used.
    """
    opened = {row["key id"]: row["rows in SQLite"] for row in _last_census(deployment)}
    ring = build_ring(deployment.keys)
    return [
        {
            "key_id": key.key_id,
            "derivation": str(key.derivation),
            "seals": "yes" if key is ring.primary else "",
            "rows_in_sqlite": opened.pop(key.key_id, 0),
        }
        for key in ring.keys
    ]


def _last_census(deployment: Deployment) -> list[dict[str, Any]]:
    folders = [path.parent for path in deployment.places.report_dir.glob("*/report.json")]
    for folder in sorted(folders, key=lambda folder: folder.stat().st_mtime, reverse=True):
        told = Told(folder.name, tuple(RunReport(folder.parent, folder.name).parts()))
        if told.part(CENSUS):
            return keys_of(told)
    return []
