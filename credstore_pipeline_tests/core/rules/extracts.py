"""Extracted frames written by hand, and what the rules are told beside them."""

from datetime import datetime
from typing import Any

import pyarrow as pa

from credstore_pipeline.core.cells import cells_from_values
from credstore_pipeline.core.frames import Frame
from credstore_pipeline.core.rules.verdict import TAGS, TargetView

SNAPSHOT_TIME = datetime(2025, 6, 1, 12, 0)
LATER = datetime(2025, 7, 1, 12, 0)

LIMITS: dict[tuple[str, str], int | None] = {
    ("tags", "id"): 36,
    ("tags", "name"): 50,
    ("tags", "description"): None,
    ("tags", "color"): 7,
    ("credentials", "id"): 36,
    ("credentials", "name"): 255,
    ("credentials", "description"): None,
    ("credentials", "username"): 255,
    ("credentials", "password"): 1024,
    ("credentials", "key_file"): 1024,
    ("credential_tags", "id"): 36,
    ("credential_tags", "credential_id"): 36,
    ("credential_tags", "tag_id"): 36,
}

CREDENTIAL = {
    "id": "c1",
    "name": "Router",
    "description": None,
    "username": "admin",
    "use_keys": 0,
    "key_file": None,
    "success_count": 3,
    "failure_count": 1,
    "last_used": None,
    "last_success": None,
    "last_failure": None,
    "created_at": "2025-03-24 09:00:00.250000",
    "updated_at": "2025-03-25 10:00:00.000000",
}
TAG = {
    "id": "t1",
    "name": "Routers",
    "description": "Network routers",
    "color": "#FF5733",
    "created_at": "2025-03-24 09:00:00.250000",
    "updated_at": "2025-03-25 10:00:00.000000",
}
ASSOCIATION = {
    "id": "a1",
    "credential_id": "c1",
    "tag_id": "t1",
    "priority": 100.0,
    "success_count": 0,
    "failure_count": 0,
    "last_used": None,
    "last_success": None,
    "last_failure": None,
    "created_at": "2025-03-24 09:00:00.250000",
    "updated_at": "2025-03-25 10:00:00.000000",
}


def extracted(*rows: dict[str, Any], without: tuple[str, ...] = ()) -> Frame:
    """A frame of the given rows, with row ids from 11 on; columns are those of the first row."""
    columns = {
        name: cells_from_values([row[name] for row in rows])
        for name in (rows[0] if rows else ())
        if name not in without
    }
    return Frame({"rows": pa.table({"source_rowid": pa.array(range(11, 11 + len(rows)), pa.int64()), **columns})})


def credentials(*changes: dict[str, Any], without: tuple[str, ...] = ()) -> Frame:
    """Credentials c1, c2, … that differ from a sound one by the given columns."""
    rows = [CREDENTIAL | {"id": f"c{place}"} | change for place, change in enumerate(changes, 1)]
    return extracted(*rows, without=without)


def tags(*changes: dict[str, Any], without: tuple[str, ...] = ()) -> Frame:
    """Tags t1, t2, … named by their place that differ from a sound one by the given columns."""
    rows = [TAG | {"id": f"t{place}", "name": f"tag {place}"} | change for place, change in enumerate(changes, 1)]
    return extracted(*rows, without=without)


def associations(*changes: dict[str, Any], without: tuple[str, ...] = ()) -> Frame:
    """Associations a1, a2, … of c1 and t1 that differ from a sound one by the given columns."""
    rows = [ASSOCIATION | {"id": f"a{place}"} | change for place, change in enumerate(changes, 1)]
    return extracted(*rows, without=without)


def judged(frame: Frame, *changes: dict[str, Any]) -> pa.Table:
    """The judging's answer for the rows: opened and sealed, but for the given changes, row by row."""
    count = frame.rows.num_rows
    rows = [{"verdict": "opened", "sealed": "sealed", "fingerprint": b"8 bytes."} for _ in range(count)]
    rows = [row | change for row, change in zip(rows, [*changes, *[{}] * (count - len(changes))], strict=True)]
    return pa.table(
        {
            "source_rowid": frame.rows["source_rowid"],
            "verdict": pa.array([row["verdict"] for row in rows], pa.string()),
            "sealed": pa.array([row["sealed"] for row in rows], pa.string()),
            "fingerprint": pa.array([row["fingerprint"] for row in rows], pa.binary()),
        }
    )


def target(**known: Any) -> TargetView:
    """A target with the application's column lengths; tags as dicts."""
    if "tags" in known:
        known["tags"] = pa.Table.from_pylist(
            [{"description": None, "color": None} | tag for tag in known["tags"]], TAGS
        )
    return TargetView(known.pop("limits", LIMITS), **known)


def refused(quarantine: pa.Table) -> list[tuple[str | None, str, str]]:
    """Source id, reason and detail of each quarantined row."""
    columns = (quarantine[name].to_pylist() for name in ("source_id", "reason", "detail"))
    return list(zip(*columns, strict=True))


def repaired(frame: Frame) -> list[tuple[str, str, str, str | None]]:
    """Source id, column, rule and value of each repair."""
    repairs = frame.tables["repairs"]
    columns = (repairs[name].to_pylist() for name in ("source_id", "column_name", "rule", "value"))
    return list(zip(*columns, strict=True))
