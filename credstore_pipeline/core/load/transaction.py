"""The load: one transaction under one lock, proven before it commits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from credstore_pipeline.core.cutover.record import refuse_after_cutover
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.errors import Superseded
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load import ledger
from credstore_pipeline.core.load.cargo import Cargo
from credstore_pipeline.core.load.ledger import Counts, LastLoad, SnapshotRef
from credstore_pipeline.core.load.meaning import Meaning
from credstore_pipeline.core.load.reseal import reseal
from credstore_pipeline.core.load.writing import Way, write_and_prove
from credstore_pipeline.core.sync.unchanged import edits_suffice, settings_digest
from credstore_pipeline.core.target.connect import make_engine, target_now, transaction
from credstore_pipeline.core.target.lock import take_lock
from credstore_pipeline.core.target.retry import retrying
from credstore_pipeline.core.target.sync import sync_exists, upgrade_sync_schema
from credstore_pipeline.core.target.tables import widen_password

__all__ = ["Cargo", "Loaded", "load"]

PASSWORD_COLUMN = 1024
"""Characters that the application's own password column holds."""


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
    confirm: Mapping[str, int] | None = None,
    partial: bool = False,
) -> Loaded:
    """Write the cargo whole or not at all, and return only after the commit.

    Lost connections, deadlocks and serialization failures are tried again, each time from the start; a run
    whose commit was not acknowledged finds its own run id, with this snapshot, and is done.

    Args:
        deployment: Where to, and which policies.
        ring: Opens what stands in the target; its primary key seals.
        run_id: This run.
        cargo: What validation let through.
        log: Told what is being done, and before what the target notices.
        progress: Called with the passwords read back so far.
        confirm: Guard -> the number that it showed, for guards that an operator overrides in this run.
        partial: Whether the cargo is some rows of the source alone, so that the others are not missing.

    Raises:
        GuardRefused: If the source looks like another one, an older one or a damaged one.
        LoadLocked: If another run holds the lock too long.
        Superseded: If a newer snapshot was loaded meanwhile, or edits are no longer those of the last load, or some
            rows were read before it, or this run has loaded another snapshot before.
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

        return retrying(
            lambda: _once(engine, deployment, ring, run_id, cargo, log, progress, confirm or {}, partial),
            before_retry=again,
        )
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
    confirm: Mapping[str, int],
    partial: bool,
) -> Loaded:
    schema = deployment.target.schema
    with transaction(engine, "load", schema) as connection:
        take_lock(connection, schema, deployment.policies.lock_wait_s)
        refuse_after_cutover(connection)
        if sync_exists(connection):
            done = ledger.committed(connection, run_id, cargo.snapshot)
            if done is not None:
                log("This run's transaction had committed; only its acknowledgement was lost.")
                return Loaded(*done, proven_rows=0)
        started_at = target_now(connection)
        upgrade_sync_schema(connection)
        last = (_unmoved if partial else ledger.refuse_superseded)(connection, cargo.snapshot)
        settings = settings_digest(deployment, ring)
        if cargo.edits_of:
            _require_base(connection, cargo, settings)
        by_primary = ledger.settle_data_key(connection, cargo.wrapped_data_key, cargo.data_key, ring, run_id)
        kind = "replay" if partial else "resync" if last else "initial"
        counts, proven = write_and_prove(
            connection,
            deployment,
            ring,
            cargo,
            Way(run_id, last, log, progress, confirm, partial, wide=_needs_wide(deployment, cargo)),
        )
        if not by_primary:
            resealed = reseal(connection, schema, ring, Meaning(cargo.data_key, ring), cargo.data_key)
            counts["credentials"]["resealed"] = resealed
            log(
                f"{resealed} passwords under a former target key were sealed anew; "
                "readers must restart with the new key."
            )
        quarantined = ledger.put_quarantine(connection, cargo.quarantine, run_id, among=cargo.replayed)
        counts["ledger"] = {**counts.get("ledger", {}), **quarantined}
        if not partial:
            counts["ledger"]["published_defaults"] = cargo.published
        ledger.put_tag_map(connection, cargo.tag_map, cargo.rows["tags"]["id"], run_id)
        ledger.put_repairs(connection, cargo.repairs, run_id)
        ledger.put_run(
            connection,
            run_id=run_id,
            kind=kind,
            snapshot=cargo.snapshot,
            started_at=started_at,
            counts=counts,
            settings=settings,
            edits_of=cargo.edits_of,
        )
    return Loaded(kind, counts, proven)


def _unmoved(connection: Connection, snapshot: SnapshotRef) -> LastLoad:
    """Asked again under the lock: a load since some rows were read may have loaded newer ones in their place."""
    last = ledger.last_load(connection)
    if last is None or last.snapshot_ended_at != snapshot.ended_at:
        raise Superseded(
            "replay_quarantine",
            f"run {last.run_id} loaded a snapshot since the rows were read" if last else "the load was undone",
            todo="Launch it again: it takes up what still waits.",
        )
    return last


def _require_base(connection: Connection, cargo: Cargo, settings: str) -> None:
    """Edits are edits of one load: asked again under the lock, they must still follow that one."""
    base = edits_suffice(connection, settings)
    if base is None or base.run_id != cargo.edits_of:
        raise Superseded(
            f"snapshot {cargo.snapshot.name}",
            f"something happened since run {cargo.edits_of}, of whose load these rows are the edits",
            todo="Launch the job again: it looks at all rows.",
        )


def _needs_wide(deployment: Deployment, cargo: Cargo) -> bool:
    """Whether the operator allowed a wider password column and a sealed password needs it."""
    if deployment.policies.password_column != "widen":
        return False
    longest = max((len(text) for text in cargo.rows["credentials"]["password"].to_pylist() if text), default=0)
    return longest > PASSWORD_COLUMN
