"""What the target looks like before anything is written, and whether every password opens."""

import shutil
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Engine

from credstore_pipeline.core.census import unopened_rowids
from credstore_pipeline.core.data_key import new_data_key, wrap_data_key
from credstore_pipeline.core.deployment import Deployment, Policies
from credstore_pipeline.core.errors import TargetError
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load.ledger import open_books
from credstore_pipeline.core.target.connect import make_engine, target_now, transaction
from credstore_pipeline.core.target.differences import require_known_shape
from credstore_pipeline.core.target.lock import lock_holders
from credstore_pipeline.core.target.retry import retrying
from credstore_pipeline.core.target.rights import describe, missing_rights
from credstore_pipeline.core.target.shape import TargetShape, read_shape
from credstore_pipeline.core.validation.gates import LISTED, Verdict

CLOCK_SKEW_MAX_S = 60.0
BYTES_A_ROW = {"tags": 400, "credentials": 1100, "credential_tags": 700}
"""What a row takes in the target with its indexes and its base, rounded up from measurements."""


@dataclass(frozen=True)
class TargetLook:
    """What preflight found out about the target.

    Attributes:
        wrapped_data_key: The kept data key, or a new one for a first load, wrapped under the primary Fernet key.
        findings: What was asked and what was found, as a table.
        numbers: Figures to compare over time.
    """

    wrapped_data_key: bytes
    findings: list[dict[str, Any]]
    numbers: dict[str, int | float]


def look_at_target(deployment: Deployment, ring: KeyRing, run_id: str, rows: dict[str, pa.Table]) -> TargetLook:
    """Look at everything that could stop the load later; only reads.

    Raises:
        ShapeRefused: If tables there are not the application's.
        TargetError: If rights are missing.
        TargetKeyChanged: If the target is sealed under a key that was not given.
    """
    engine = make_engine(deployment.target, run_id)
    return retrying(lambda: _look(engine, deployment, ring, rows))


def _look(engine: Engine, deployment: Deployment, ring: KeyRing, rows: dict[str, pa.Table]) -> TargetLook:
    schema = deployment.target.schema
    with transaction(engine, "preflight", schema) as connection:
        shape = read_shape(connection, schema)
        require_known_shape(shape)
        missing = missing_rights(connection, shape)
        if missing:
            raise TargetError(
                f"schema {schema}", f"rights are missing: {'; '.join(missing)}", todo="Grant them and launch again."
            )
        books = open_books(connection, ring)
        findings, numbers = _findings(connection, deployment, shape, rows)
    wrapped = books.wrapped_data_key or wrap_data_key(new_data_key(), ring)
    return TargetLook(wrapped, findings, numbers)


def secrets_verdict(
    extracted: pa.Table, judged: pa.Table, policies: Policies, ring: KeyRing, *, ends_here: bool
) -> Verdict:
    """Say which passwords stay shut; red only where rows are unaccounted for, or a preflight must warn in time.

    Args:
        extracted: The extracted credentials.
        judged: The verdicts on them, in the same order.
        policies: How many rows may be left behind.
        ring: Whose public names are told.
        ends_here: Whether the run ends with the census, so that this is where too many are refused.
    """
    if extracted["source_rowid"].to_pylist() != judged["source_rowid"].to_pylist():
        return Verdict(False, "preflight/census: not every row was judged. The target is unchanged. Report this.")
    unopened = unopened_rowids(judged)
    numbers: dict[str, int | float] = {"not_opened": len(unopened), "keys_tried": len(ring.keys)}
    if not unopened:
        return Verdict(True, f"Every password of {judged.num_rows} rows opens.", numbers)
    shut = judged.filter(pc.is_in(judged["source_rowid"], pa.array(unopened))).slice(0, LISTED).to_pylist()
    lines = [f"  credentials row {row['source_rowid']}: {row['verdict']} ({row['encoding']})" for row in shut]
    more = [f"  and {len(unopened) - LISTED} more"] if len(unopened) > LISTED else []
    refused = len(unopened) > policies.max_quarantined
    fatal = refused and ends_here
    # What becomes of the target is said by the stage at which the run ends.
    state = " The target is unchanged." if fatal else ""
    text = "\n".join(
        [
            f"credentials: {len(unopened)} passwords were not opened, {policies.max_quarantined} may be left behind "
            f"(tried {ring.tried()}).{state}",
            *lines,
            *more,
            "Add the missing keys to CREDSTORE_SOURCE_KEYS, CREDSTORE_KEY_DIR or CREDSTORE_KEY_BACKUP, or set "
            f"CREDSTORE_MAX_QUARANTINED to {len(unopened)} or more to leave these rows and their associations behind, "
            "sealed, in credstore_sync.quarantine.",
        ]
    )
    return Verdict(False, text, numbers, fatal=fatal)


def _findings(
    connection: Connection, deployment: Deployment, shape: TargetShape, rows: dict[str, pa.Table]
) -> tuple[list[dict[str, Any]], dict[str, int | float]]:
    about = describe(connection, shape)
    skew_s = abs((target_now(connection) - datetime.now(UTC)).total_seconds())
    needed_mb = sum(table.num_rows * BYTES_A_ROW[name] for name, table in rows.items()) / 1e6
    free_mb = {
        "snapshots": shutil.disk_usage(deployment.places.backup_dir).free / 1e6,
        "DAGSTER_HOME": shutil.disk_usage(deployment.places.home).free / 1e6,
    }
    holders = lock_holders(connection, shape.schema)
    asked = {
        "server": f"PostgreSQL {about.server_version} at {deployment.target.place}, seen from {socket.gethostname()}",
        "tables there": ", ".join(shape.tables) or "none; they will be created",
        "rows there": ", ".join(f"{count} {table}" for table, count in about.rows.items()) or "none",
        "rights": "all that are needed",
        "notes": "; ".join(shape.notes) or "none",
        "lock": holders or "free",
        "clock skew": f"{skew_s:.1f} s" + (" (more than a minute: mend it)" if skew_s > CLOCK_SKEW_MAX_S else ""),
        "target will need": f"{needed_mb:.1f} MB",
        "room for snapshots": f"{free_mb['snapshots']:.0f} MB",
        "room in DAGSTER_HOME": f"{free_mb['DAGSTER_HOME']:.0f} MB",
    }
    numbers: dict[str, int | float] = {
        "target_rows_beside": sum(about.rows.values()),
        "clock_skew_s": round(skew_s, 3),
        "target_needs_mb": round(needed_mb, 3),
    }
    return [{"asked": name, "found": found} for name, found in asked.items()], numbers
