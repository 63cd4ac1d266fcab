"""Rows that stood in the target before us: adopted if they mean the same, else left alone."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from credstore_pipeline.core.load.columns import IDENTITY, SCHEMAS, slots
from credstore_pipeline.core.load.meaning import Meaning, Packed
from credstore_pipeline.core.load.reading import IDS, put_ids, qualified, read_rows
from credstore_pipeline.core.target.bulk import copy_out


@dataclass(frozen=True)
class Foreign:
    """Target rows without a base whose id a source row has too.

    Attributes:
        ids: Their ids.
        fingerprints: What they mean, one row an id.
        same: Whether the target's row means the same as the source's, statistics apart.
    """

    ids: list[str]
    fingerprints: Packed
    same: npt.NDArray[np.bool_]

    @property
    def adopted(self) -> list[str]:
        """Ids of rows that mean the same."""
        return [row_id for row_id, same in zip(self.ids, self.same, strict=True) if same]

    @property
    def differing(self) -> list[str]:
        """Ids of rows that mean something else."""
        return [row_id for row_id, same in zip(self.ids, self.same, strict=True) if not same]


def find_foreign(
    connection: Connection, schema: str, table: str, rows: pa.Table, meaning: Meaning, *, has_base: bool
) -> Foreign:
    """Compare the source's validated rows with target rows of the same id that have no base.

    Args:
        connection: A transaction; only temporary tables are written.
        schema: The application's schema.
        table: A table that exists in the target.
        rows: Validated rows.
        meaning: Fingerprints under the target's data key.
        has_base: Whether `credstore_sync.row_state` exists yet.
    """
    known = f"LEFT JOIN credstore_sync.row_state s ON s.source_table = '{table}' AND s.row_id = t.id"
    without = f"{known} WHERE s.row_id IS NULL" if has_base else ""
    there = copy_out(connection, f"SELECT t.id FROM {qualified(schema, table)} t {without}", IDS)["id"]
    ids = pc.filter(there, pc.is_in(there, rows["id"].combine_chunks())).to_pylist()
    return compare_foreign(connection, schema, table, rows, meaning, ids)


def compare_foreign(
    connection: Connection, schema: str, table: str, rows: pa.Table, meaning: Meaning, ids: list[str]
) -> Foreign:
    """Fingerprint the named target rows and say which mean the same as the validated ones."""
    width = 8 * (len(SCHEMAS[table].names) - 1)
    if not ids:
        return Foreign([], np.empty((0, width), dtype=np.uint8), np.empty(0, dtype=bool))
    put_ids(connection, "foreign_ids", ids)
    stored = read_rows(connection, schema, table, "JOIN pg_temp.foreign_ids f ON f.id = t.id")
    theirs, opened = meaning.of_stored(table, stored, only_primary=False)
    ours_rows = rows.take(pc.index_in(stored["id"], rows["id"].combine_chunks()))
    ours = meaning.of_validated(table, ours_rows)
    identity = slots(table, IDENTITY[table])
    same = opened & (theirs[:, identity] == ours[:, identity]).all(axis=1)
    return Foreign(stored["id"].to_pylist(), theirs, same)
