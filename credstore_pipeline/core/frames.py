"""What travels between stages: Arrow tables under names, and a few notes."""

from dataclasses import dataclass, field

import pyarrow as pa

TABLES = ("tags", "credentials", "credential_tags")
"""The store's tables in foreign-key order."""


@dataclass(frozen=True)
class Frame:
    """A stage's rows with what belongs to them.

    Attributes:
        tables: Arrow tables by name; "rows" is the main one.
        notes: Short texts beside the rows (flavour, counts, the wrapped data key). Never a secret.
    """

    tables: dict[str, pa.Table]
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> pa.Table:
        """The main table."""
        return self.tables["rows"]

    def __repr__(self) -> str:
        """Show shapes alone: a frame may carry the stored column."""
        shapes = ", ".join(f"{name}: {table.num_rows}x{table.num_columns}" for name, table in self.tables.items())
        return f"Frame({shapes})"
