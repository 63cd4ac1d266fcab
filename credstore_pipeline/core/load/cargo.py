"""What one load takes to the target."""

from dataclasses import dataclass

import pyarrow as pa

from credstore_pipeline.core.load.ledger import SnapshotRef


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
        replayed: Quarantine rows that this load takes up alone; None for all.
        edits_of: The load since which these rows alone were edited; None if they are all rows.
        published: Passwords among them, or known from when all rows were looked at, that are published defaults.
    """

    rows: dict[str, pa.Table]
    repairs: pa.Table
    tag_map: pa.Table
    quarantine: pa.Table
    snapshot: SnapshotRef
    wrapped_data_key: bytes
    data_key: bytes
    replayed: pa.Table | None = None
    edits_of: str | None = None
    published: int = 0

    def __repr__(self) -> str:
        """Show the snapshot's name alone."""
        return f"Cargo({self.snapshot.name})"
