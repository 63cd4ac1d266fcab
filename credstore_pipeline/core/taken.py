"""What a run's snapshot is to later steps: its name, its tables, and which of its rows they look at."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from credstore_pipeline.core.frames import TABLES, Frame
from credstore_pipeline.core.load.ledger import SnapshotRef
from credstore_pipeline.core.source.edits import IDENTITY, Edits
from credstore_pipeline.core.source.inspect import SourceShape
from credstore_pipeline.core.source.snapshot import Snapshot

NOTHING_TO_DO = "nothing_to_do"
"""Note on the snapshot: later steps have nothing to read, the load records that alone."""

EDITS_OF = "edits_of"
"""Note on the snapshot: the load since which the listed rows alone were edited; empty if all rows are to be read."""

PUBLISHED_BEFORE = "published_before"
"""Note on the snapshot: passwords that were published defaults when all rows were looked at last."""


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
        edits: Row ids by table, if later steps need to look at these rows alone (and at all tags).
        edits_of: The load since which they were edited.
        published_before: Passwords that were published defaults when all rows were looked at last; 0 if all are now.
    """

    snapshot: Snapshot
    began_at: datetime
    ended_at: datetime
    reused: bool
    numbers: dict[str, int | float]
    nothing_to_do: bool = False
    edits: Edits | None = None
    edits_of: str = ""
    published_before: int = 0

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
            EDITS_OF: self.edits_of,
            PUBLISHED_BEFORE: str(self.published_before),
        }

    @property
    def frame(self) -> Frame:
        """What later steps are handed: the edits' row ids, and the notes."""
        edits = self.edits or {}
        tables = [table for table, rowids in edits.items() for _ in rowids]
        rowids = [rowid for found in edits.values() for rowid in found]
        rows = pa.table({"source_table": pa.array(tables, pa.string()), "rowid": pa.array(rowids, pa.int64())})
        return Frame({"rows": rows}, self.notes)


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


def edits_of(frame: Frame) -> str:
    """The load since which the snapshot's listed rows alone were edited; empty if later steps look at all rows."""
    return frame.notes.get(EDITS_OF, "")


def rows_to_read(frame: Frame, table: str) -> Sequence[int] | None:
    """Row ids of the edited rows; None for all rows."""
    if not edits_of(frame) or table not in IDENTITY:
        return None
    found: list[int] = frame.rows.filter(pc.equal(frame.rows["source_table"], table))["rowid"].to_pylist()
    return found


def published_before(frame: Frame) -> int:
    """Passwords that were published defaults when all rows were looked at last; 0 if all are looked at now.

    Args:
        frame: The snapshot, or the extracted credentials.
    """
    return int(frame.notes.get(PUBLISHED_BEFORE, "0"))
