"""The load: one transaction under one lock, proven before it commits."""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
from sqlalchemy import Connection, Engine

from credstore_pipeline.core.cutover.record import refuse_after_cutover
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.frames import TABLES
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load import ledger
from credstore_pipeline.core.load.ledger import Counts, SnapshotRef
from credstore_pipeline.core.load.meaning import Meaning
from credstore_pipeline.core.load.prove import prove_parents, prove_written
from credstore_pipeline.core.load.reseal import reseal
from credstore_pipeline.core.load.write import Incoming, Written, write_created, write_existing
from credstore_pipeline.core.target.connect import make_engine, target_now, transaction
from credstore_pipeline.core.target.differences import require_known_shape
from credstore_pipeline.core.target.lock import take_lock
from credstore_pipeline.core.target.retry import retrying
from credstore_pipeline.core.target.shape import read_shape
from credstore_pipeline.core.target.sync import sync_exists, upgrade_sync_schema
from credstore_pipeline.core.target.tables import add_keys, create_missing, widen_password

PASSWORD_COLUMN = 1024
"""Characters that the application's own password column holds."""


@dataclass(frozen=True)
class Cargo:
    """What one load takes to the target.

    Attributes:
        rows: Validated rows by table.
        repairs: Repairs of all tables.
        tag_map: Source tags that other target tags stand for.
        quarantine: Sealed quarantine rows.
        snapshot: Where the rows come from.
        wrapped_data_key: The data key that their fingerprints were made under, wrapped.
        data_key: The same, unwrapped.
    """

    rows: dict[str, pa.Table]
    repairs: pa.Table
    tag_map: pa.Table
    quarantine: pa.Table
    snapshot: SnapshotRef
    wrapped_data_key: bytes
    data_key: bytes

    def __repr__(self) -> str:
        """Show the snapshot's name alone."""
        return f"Cargo({self.snapshot.name})"


@dataclass(frozen=True)
class Loaded:
    """What a committed load did.

    Attributes:
        kind: `initial` or `resync`.
        counts: Table -> what happened -> rows.
        proven_rows: Rows read back and compared before the commit.
    """

    kind: str
    counts: Counts
    proven_rows: int


def load(
    deployment: Deployment,
    ring: KeyRing,
    run_id: str,
    cargo: Cargo,
    *,
    log: Callable[[str], None],
    progress: Callable[[int], None] | None = None,
) -> Loaded:
    """Write the cargo whole or not at all, and return only after the commit.

    Lost connections, deadlocks and serialization failures are tried again, each time from the start; a run
    whose commit was not acknowledged finds its own run id and is done.

    Raises:
        LoadLocked: If another run holds the lock too long.
        Superseded: If a newer snapshot was loaded meanwhile.
        ProofFailed: If what was read back is not what was meant; everything is rolled back.
        TargetError: For whatever else the target refuses.
    """
    # The lock is only as good as what is read after it: never an older state of the database.
    engine = make_engine(deployment.target, run_id).execution_options(isolation_level="READ COMMITTED")
    try:
        if _needs_wide(deployment, cargo) and widen_password(engine, deployment.target.schema):
            log("The column credentials.password was widened to text, since a sealed password needs it.")

        def again(attempt: int, failure: BaseException) -> None:
            log(f"The load's attempt {attempt} failed and is tried again from the start: {failure}")

        return retrying(lambda: _once(engine, deployment, ring, run_id, cargo, log, progress), before_retry=again)
    finally:
        engine.dispose()


def _once(
    engine: Engine,
    deployment: Deployment,
    ring: KeyRing,
    run_id: str,
    cargo: Cargo,
    log: Callable[[str], None],
    progress: Callable[[int], None] | None,
) -> Loaded:
    schema = deployment.target.schema
    with transaction(engine, "load", schema) as connection:
        take_lock(connection, schema, deployment.policies.lock_wait_s)
        refuse_after_cutover(connection)
        if sync_exists(connection):
            done = ledger.committed(connection, run_id)
            if done is not None:
                log("This run's transaction had committed; only its acknowledgement was lost.")
                return Loaded(*done, proven_rows=0)
        started_at = target_now(connection)
        upgrade_sync_schema(connection)
        last = ledger.refuse_superseded(connection, cargo.snapshot)
        by_primary = ledger.settle_data_key(connection, cargo.wrapped_data_key, cargo.data_key, ring, run_id)
        kind = "resync" if last else "initial"
        loaded, proven = _write_and_prove(
            connection, schema, ring, cargo, log, progress, wide=_needs_wide(deployment, cargo)
        )
        counts = {name: written.counts for name, written in loaded.items()}
        if not by_primary:
            resealed = reseal(connection, schema, ring, Meaning(cargo.data_key, ring), cargo.data_key)
            counts["credentials"]["resealed"] = resealed
            log(
                f"{resealed} passwords under a former target key were sealed anew; "
                "readers must restart with the new key."
            )
        counts["ledger"] = ledger.put_quarantine(connection, cargo.quarantine, run_id)
        ledger.put_tag_map(connection, cargo.tag_map, cargo.rows["tags"]["id"], run_id)
        ledger.put_repairs(connection, cargo.repairs, run_id)
        ledger.put_run(
            connection, run_id=run_id, kind=kind, snapshot=cargo.snapshot, started_at=started_at, counts=counts
        )
    return Loaded(kind, counts, proven)


def _write_and_prove(
    connection: Connection,
    schema: str,
    ring: KeyRing,
    cargo: Cargo,
    log: Callable[[str], None],
    progress: Callable[[int], None] | None,
    *,
    wide: bool,
) -> tuple[dict[str, Written], int]:
    require_known_shape(read_shape(connection, schema))
    meaning = Meaning(cargo.data_key, ring)
    created = create_missing(connection, schema, bare=True, wide_password=wide)
    written: dict[str, Written] = {}
    incoming = {
        table: Incoming(table, cargo.rows[table], meaning.of_validated(table, cargo.rows[table])) for table in TABLES
    }
    for table in TABLES:
        if table in created:
            written[table] = write_created(connection, schema, incoming[table])
        else:
            written[table] = write_existing(connection, schema, incoming[table], meaning)
        log(f"{schema}.{table}: {_told(written[table].counts)}")
    add_keys(connection, schema, created)
    proven = 0
    for table in TABLES:
        proven += prove_written(connection, schema, incoming[table], written[table], meaning, progress)
    prove_parents(connection, schema, written["credential_tags"])
    log(f"{proven} written rows were read back, opened and compared; committing.")
    return written, proven


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing to write"


def _needs_wide(deployment: Deployment, cargo: Cargo) -> bool:
    """Whether the operator allowed a wider password column and a sealed password needs it."""
    if deployment.policies.password_column != "widen":
        return False
    longest = max((len(text) for text in cargo.rows["credentials"]["password"].to_pylist() if text), default=0)
    return longest > PASSWORD_COLUMN
