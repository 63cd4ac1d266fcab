"""Takes the run's snapshot, or finds that the last load's still is the source."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection, Engine
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from credstore_pipeline.core.cutover.record import refuse_after_cutover
from credstore_pipeline.core.data_key import TargetPurpose, target_subkey
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.errors import CouldNotCheck, SnapshotNotProven, SourceBusy
from credstore_pipeline.core.frames import TABLES
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load.ledger import Books, open_books, protected_snapshots
from credstore_pipeline.core.source.edits import Edits, edits_since, ids_of
from credstore_pipeline.core.source.retention import discard, prune
from credstore_pipeline.core.source.snapshot import (
    Snapshot,
    known_snapshot,
    snapshot_path,
    take_snapshot,
)
from credstore_pipeline.core.sync.returns import brings_others
from credstore_pipeline.core.sync.unchanged import LARGE_ROWS, edits_suffice, nothing_to_do, settings_digest
from credstore_pipeline.core.taken import Taken
from credstore_pipeline.core.target.connect import make_engine, target_now, transaction
from credstore_pipeline.core.target.lock import take_lock
from credstore_pipeline.core.target.retry import retrying
from credstore_pipeline.core.target.shape import read_shape
from credstore_pipeline.core.target.sync import newest_version, require_readable_sync, sync_version, upgrade_sync_schema

BUSY_ATTEMPTS = 3
"""How often a source that a writer holds is tried, each time with a wait of its own."""


def take(
    deployment: Deployment, ring: KeyRing, run_id: str, *, large_rows: int = LARGE_ROWS, whole: bool = False
) -> Taken:
    """Copy the source and prove the copy; keep none if the last load's snapshot has the same content.

    Args:
        deployment: Where the source is.
        ring: Its target key keys the digest.
        run_id: This run.
        large_rows: From so many rows on the pass may end here if there is nothing to do.
        whole: Whether later steps look at all rows, whatever changed.

    Raises:
        CutOver: If the store was cut over.
        TargetKeyChanged: If the target is sealed under a key that was not given.
        SourceError: If the source cannot be read.
        SnapshotNotProven: If the copy differs from the source.
    """
    engine = make_engine(deployment.target, run_id)
    key = target_subkey(ring, TargetPurpose.SOURCE_DIGEST)
    backup_dir = deployment.places.backup_dir

    def clock() -> datetime:
        return retrying(lambda: _ask(engine, target_now))

    def look(connection: Connection) -> Books:
        if sync_version(connection) not in (None, newest_version()):
            # What an older pipeline left has to be read before it is loaded into.
            take_lock(connection, deployment.target.schema, deployment.policies.lock_wait_s)
            upgrade_sync_schema(connection)
        # The load refuses for itself; asked here, nothing is copied in vain.
        refuse_after_cutover(connection)
        return open_books(connection, ring)

    books = retrying(lambda: _ask(engine, look))
    patient = Retrying(
        retry=retry_if_exception_type(SourceBusy),
        stop=stop_after_attempt(BUSY_ATTEMPTS),
        wait=wait_exponential_jitter(initial=1, max=10),
        reraise=True,
    )
    fresh = patient(
        take_snapshot,
        deployment.source.sqlite_path,
        backup_dir,
        key,
        clock,
        run_id[:8],
        writers_blocked_max_s=deployment.policies.source_lock_max_s,
    )
    manifest = fresh.manifest
    numbers: dict[str, int | float] = {
        "rows": sum(manifest.counts.values()),
        **{f"{table}_rows": rows for table, rows in manifest.counts.items()},
        "size_mb": round(manifest.size_bytes / 1e6, 3),
        "seconds": round((manifest.ended_at - manifest.began_at).total_seconds(), 3),
        "writers_blocked_s": manifest.writers_blocked_s,
    }
    earlier = _same_as_last(deployment, key, books, fresh)
    if earlier:
        discard(backup_dir, fresh.name)

    def protected() -> set[str]:
        return {(earlier or fresh).name, *retrying(lambda: _ask(engine, _protected))}

    pruned = prune(backup_dir, deployment.policies.backup_keep, protected)
    numbers["snapshots_pruned"] = len(pruned)
    found = Taken(earlier or fresh, manifest.began_at, manifest.ended_at, earlier is not None, numbers)
    if books.last is None or whole:
        return found
    settings = settings_digest(deployment, ring)
    if earlier and numbers["rows"] >= large_rows:
        idle = retrying(lambda: _ask(engine, lambda asked: nothing_to_do(asked, manifest.digest.value, settings)))
        return replace(found, nothing_to_do=idle, published_before=books.last.published if idle else 0)
    if not earlier and numbers["rows"] >= deployment.policies.whole_pass_below:
        base = retrying(lambda: _ask(engine, lambda asked: edits_suffice(asked, settings)))
        edits = edits_since(snapshot_path(backup_dir, base.snapshot_name), fresh, key) if base else None
        if base and edits and not retrying(lambda: _ask(engine, lambda asked: _more(asked, deployment, fresh, edits))):
            return replace(found, edits=edits, edits_of=base.run_id, published_before=base.published)
    return found


Answer = TypeVar("Answer")


def _ask(engine: Engine, question: Callable[[Connection], Answer]) -> Answer:
    with transaction(engine, "target, schema credstore_sync") as connection:
        return question(connection)


def _protected(connection: Connection) -> set[str]:
    return protected_snapshots(connection) if require_readable_sync(connection) else set()


def _more(connection: Connection, deployment: Deployment, fresh: Snapshot, edits: Edits) -> bool:
    """Whether rows that were not edited have to be looked at too; of a table that is gone, the load tells."""
    schema = deployment.target.schema
    shape = read_shape(connection, schema)
    if not all(shape.present(table) for table in TABLES):
        return True
    return brings_others(connection, schema, ids_of(fresh.path, edits["credentials"]))


def _same_as_last(deployment: Deployment, key: bytes, books: Books, fresh: Snapshot) -> Snapshot | None:
    if books.last is None or books.last.source_digest != fresh.manifest.digest.value:
        return None
    try:
        return known_snapshot(snapshot_path(deployment.places.backup_dir, books.last.snapshot_name), key)
    except (CouldNotCheck, SnapshotNotProven):
        # It was removed or altered: the fresh one, of the same content, takes its place.
        return None
