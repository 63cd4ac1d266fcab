"""Settles waiting conflicts as a person decided, in one transaction under the load's lock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Engine

from credstore_pipeline.core.cutover.record import refuse_after_cutover
from credstore_pipeline.core.data_key import unwrap_data_key
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.errors import CouldNotCheck, CredstoreError
from credstore_pipeline.core.frames import TABLES
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load import ledger
from credstore_pipeline.core.load.meaning import Meaning
from credstore_pipeline.core.sync.book import WAITING, ConflictBook, ValueSealer
from credstore_pipeline.core.sync.passage import Passage
from credstore_pipeline.core.sync.settling import Waits, settle_table
from credstore_pipeline.core.target.connect import make_engine, target_now, transaction
from credstore_pipeline.core.target.lock import take_lock
from credstore_pipeline.core.target.retry import retrying
from credstore_pipeline.core.target.sync import sync_exists, upgrade_sync_schema

Choice = Literal["source", "target"]


@dataclass(frozen=True)
class Settled:
    """What was settled: conflicts by whose value stands."""

    source: int
    target: int


def settle(
    deployment: Deployment,
    ring: KeyRing,
    run_id: str,
    decisions: Mapping[int, Choice],
    *,
    log: Callable[[str], None],
) -> Settled:
    """Make the chosen side's value stand for each named conflict; all of them or none.

    Args:
        deployment: Whose target.
        ring: Opens what was recorded; its primary key seals.
        run_id: This run.
        decisions: Conflict id -> whose value stands.
        log: Told what is done.

    Raises:
        CredstoreError: If an id names no waiting conflict, or the target changed since it was recorded.
    """
    # What is read under the lock must not be older than the lock.
    engine = make_engine(deployment.target, run_id).execution_options(isolation_level="READ COMMITTED")
    return retrying(lambda: _once(engine, deployment, ring, run_id, decisions, log))


def _once(
    engine: Engine,
    deployment: Deployment,
    ring: KeyRing,
    run_id: str,
    decisions: Mapping[int, Choice],
    log: Callable[[str], None],
) -> Settled:
    schema = deployment.target.schema
    with transaction(engine, "resolve_conflicts", schema) as connection:
        take_lock(connection, schema, deployment.policies.lock_wait_s)
        if not sync_exists(connection):
            raise CouldNotCheck("resolve_conflicts", "nothing was loaded yet", todo="Launch the job `migrate` first.")
        upgrade_sync_schema(connection)
        settled = Settled(*(sum(choice == side for choice in decisions.values()) for side in ("source", "target")))
        if connection.exec_driver_sql("SELECT 1 FROM credstore_sync.runs WHERE run_id = %s", (run_id,)).first():
            log("This run's transaction had committed; only its acknowledgement was lost.")
            return settled
        refuse_after_cutover(connection)
        started_at = target_now(connection)
        kept = connection.exec_driver_sql("SELECT wrapped FROM credstore_sync.data_key").scalar_one()
        data_key = unwrap_data_key(bytes(kept), ring).data_key
        waits = _named(connection, decisions, ValueSealer(data_key))
        book = ConflictBook(data_key, run_id)
        work = Passage(connection, schema, Meaning(data_key, ring), deployment.policies, book, log)
        for table in TABLES:
            settle_table(work, ring, table, [wait for wait in waits if wait.table == table])
        for choice in ("source", "target"):
            ids = [wait.conflict_id for wait in waits if wait.choice == choice]
            connection.exec_driver_sql(
                "UPDATE credstore_sync.conflicts SET outcome = %s, policy = 'person', settled_by = %s, "
                "settled_at = clock_timestamp() WHERE conflict_id = ANY(%s)",
                (choice, run_id, ids),
            )
        book.write(connection, still=lambda key: True)
        ledger.put_event(connection, run_id, "resolve", started_at, {"conflicts": dict(vars(settled))})
    log(f"{settled.source} conflicts were settled for the source, {settled.target} for the target.")
    return settled


def _named(connection: Connection, decisions: Mapping[int, Choice], sealer: ValueSealer) -> list[Waits]:
    rows = connection.exec_driver_sql(
        "SELECT conflict_id, source_table, row_id, column_name, kind, source_fp, target_fp, sealed_source "
        f"FROM credstore_sync.conflicts WHERE outcome = '{WAITING}' AND conflict_id = ANY(%s) ORDER BY conflict_id",
        (list(decisions),),
    ).all()
    unknown = sorted(set(decisions) - {row[0] for row in rows})
    if unknown:
        shown = ", ".join(map(str, unknown[:10]))
        raise CredstoreError(
            "resolve_conflicts",
            f"{len(unknown)} of the ids name no conflict that waits ({shown})",
            todo="Look at the check `no_conflicts_wait`: a conflict that is recorded anew has a new id.",
        )

    def opened(sealed: str | None) -> Any:
        return None if sealed is None else sealer.open(sealed)

    return [
        Waits(row[0], row[1], row[2], row[3], row[4], _bytes(row[5]), _bytes(row[6]), opened(row[7]), decisions[row[0]])
        for row in rows
    ]


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)
