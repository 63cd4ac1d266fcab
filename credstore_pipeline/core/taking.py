"""Takes the run's snapshot, or finds that the last load's still is the source."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection, Engine
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from credstore_pipeline.core.cutover.record import refuse_after_cutover
from credstore_pipeline.core.data_key import TargetPurpose, target_subkey
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.errors import CouldNotCheck, SnapshotNotProven, SourceBusy
from credstore_pipeline.core.frames import TABLES, Frame
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load.ledger import Books, SnapshotRef, open_books
from credstore_pipeline.core.source.inspect import SourceShape
from credstore_pipeline.core.source.retention import discard, prune
from credstore_pipeline.core.source.snapshot import Snapshot, prove_snapshot, snapshot_path, take_snapshot
from credstore_pipeline.core.sync.unchanged import LARGE_ROWS, nothing_to_do, settings_digest
from credstore_pipeline.core.target.connect import make_engine, target_now, transaction
from credstore_pipeline.core.target.retry import retrying

BUSY_ATTEMPTS = 3
"""How often a source that a writer holds is tried, each time with a wait of its own."""


NOTHING_TO_DO = "nothing_to_do"
"""Note on the snapshot: later steps have nothing to read, the load records that alone."""


@dataclass(frozen=True)
class Taken:
    """The snapshot that this run works on.

    Attributes:
        snapshot: The proven copy.
        began_at: When reading the source began, by the target's clock.
        ended_at: When it was done.
        reused: Whether it is the last load's, since nothing changed.
        numbers: Figures to compare over time.
        nothing_to_do: Whether the store is large and the last load proven, so that this pass may end here.
    """

    snapshot: Snapshot
    began_at: datetime
    ended_at: datetime
    reused: bool
    numbers: dict[str, int | float]
    nothing_to_do: bool = False

    @property
    def name(self) -> str:
        """The snapshot's name in the backup folder."""
        return self.snapshot.name

    @property
    def flavour(self) -> str:
        """Which of the application's versions made the store."""
        return self.snapshot.shape.flavour

    @property
    def digest(self) -> str:
        """Keyed digest of content."""
        return self.snapshot.manifest.digest.value

    @property
    def other_tables(self) -> tuple[str, ...]:
        """Tables of the file that are not part of the store."""
        return self.snapshot.shape.other_tables

    @property
    def notes(self) -> dict[str, str]:
        """What later steps need, as a frame's notes."""
        return {
            "name": self.name,
            "began_at": self.began_at.isoformat(),
            "ended_at": self.ended_at.isoformat(),
            "digest": self.digest,
            "flavour": self.flavour,
            "shape": json.dumps(self.snapshot.shape.as_json()),
            "counts": json.dumps(self.snapshot.manifest.counts),
            NOTHING_TO_DO: str(self.nothing_to_do).lower(),
        }


def take(deployment: Deployment, ring: KeyRing, run_id: str, *, large_rows: int = LARGE_ROWS) -> Taken:
    """Copy the source and prove the copy; keep none if the last load's snapshot has the same content.

    Args:
        deployment: Where the source is.
        ring: Its target key keys the digest.
        run_id: This run.
        large_rows: From so many rows on the pass may end here if there is nothing to do.

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
    pruned = prune(backup_dir, deployment.policies.backup_keep, {*books.protected, (earlier or fresh).name})
    numbers["snapshots_pruned"] = len(pruned)
    idle = False
    if earlier and numbers["rows"] >= large_rows:
        settings = settings_digest(deployment, ring)
        idle = retrying(lambda: _ask(engine, lambda found: nothing_to_do(found, manifest.digest.value, settings)))
    return Taken(earlier or fresh, manifest.began_at, manifest.ended_at, earlier is not None, numbers, idle)


Answer = TypeVar("Answer")


def _ask(engine: Engine, question: Callable[[Connection], Answer]) -> Answer:
    with transaction(engine, "target, schema credstore_sync") as connection:
        return question(connection)


def snapshot_ref(frame: Frame) -> SnapshotRef:
    """The snapshot that a frame's notes describe."""
    notes = frame.notes
    return SnapshotRef(
        name=notes["name"],
        began_at=datetime.fromisoformat(notes["began_at"]),
        ended_at=datetime.fromisoformat(notes["ended_at"]),
        digest=notes["digest"],
        flavour=notes["flavour"],
    )


def is_idle(frame: Frame) -> bool:
    """Whether the pass has nothing to do after its snapshot."""
    return frame.notes.get(NOTHING_TO_DO) == "true"


def snapshot_counts(frame: Frame) -> dict[str, int]:
    """Rows of the snapshot by table, 0 for a table that it has not."""
    found = json.loads(frame.notes["counts"])
    return {table: found.get(table, 0) for table in TABLES}


def snapshot_shape(frame: Frame) -> SourceShape:
    """The tables of the snapshot that a frame's notes describe."""
    return SourceShape.from_json(json.loads(frame.notes["shape"]))


def _same_as_last(deployment: Deployment, key: bytes, books: Books, fresh: Snapshot) -> Snapshot | None:
    if books.last is None or books.last.source_digest != fresh.manifest.digest.value:
        return None
    try:
        return prove_snapshot(snapshot_path(deployment.places.backup_dir, books.last.snapshot_name), key)
    except (CouldNotCheck, SnapshotNotProven):
        # It was removed or altered: the fresh one, of the same content, takes its place.
        return None
