"""The load of a store that has not changed: its row in `runs`, and nothing else."""

from collections.abc import Callable

from credstore_pipeline.core.cutover.record import refuse_after_cutover
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.errors import Superseded
from credstore_pipeline.core.frames import TABLES
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load import ledger
from credstore_pipeline.core.load.ledger import SnapshotRef
from credstore_pipeline.core.load.transaction import Loaded
from credstore_pipeline.core.sync.unchanged import nothing_to_do, settings_digest
from credstore_pipeline.core.target.connect import make_engine, target_now, transaction
from credstore_pipeline.core.target.lock import take_lock
from credstore_pipeline.core.target.retry import retrying

WHAT = ("inserted", "updated", "adopted", "kept", "gone", "deleted", "counter_resets")


def load_unchanged(
    deployment: Deployment, ring: KeyRing, run_id: str, snapshot: SnapshotRef, *, log: Callable[[str], None]
) -> Loaded:
    """Record that this run found nothing to do, under the load's lock, if that still is so.

    Raises:
        LoadLocked: If another run holds the lock too long.
        Superseded: If another run did something meanwhile, or this run has loaded another snapshot before.
    """
    engine = make_engine(deployment.target, run_id).execution_options(isolation_level="READ COMMITTED")

    def once() -> Loaded:
        with transaction(engine, "load", deployment.target.schema) as connection:
            take_lock(connection, deployment.target.schema, deployment.policies.lock_wait_s)
            refuse_after_cutover(connection)
            done = ledger.committed(connection, run_id, snapshot)
            if done is not None:
                log("This run's transaction had committed; only its acknowledgement was lost.")
                return Loaded(*done, proven_rows=0)
            started_at, settings = target_now(connection), settings_digest(deployment, ring)
            last = ledger.refuse_superseded(connection, snapshot)
            if last is None or not nothing_to_do(connection, snapshot.digest, settings):
                raise Superseded(
                    f"snapshot {snapshot.name}", "another run did something meanwhile", todo="Launch the job again."
                )
            known = {"unchanged": 1, "published_defaults": last.published}
            counts = {table: dict.fromkeys(WHAT, 0) for table in TABLES} | {"ledger": known}
            ledger.put_run(
                connection,
                run_id=run_id,
                kind="resync",
                snapshot=snapshot,
                started_at=started_at,
                counts=counts,
                settings=settings,
            )
            connection.exec_driver_sql(
                "UPDATE credstore_sync.runs n SET proven_at = o.proven_at FROM credstore_sync.runs o "
                "WHERE n.run_id = %s AND o.run_id = %s",
                (run_id, last.run_id),
            )
        return Loaded("resync", counts, 0)

    return retrying(once)
