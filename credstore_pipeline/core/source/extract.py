"""A table of a snapshot as a frame: every value with its own type, nothing judged yet."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pyarrow as pa

from credstore_pipeline.core.cells import cells_from_values, unify
from credstore_pipeline.core.frames import Frame
from credstore_pipeline.core.source.connect import file_uri
from credstore_pipeline.core.source.inspect import SourceShape, TableShape
from credstore_pipeline.core.source.rows import chunks, without_gc
from credstore_pipeline.core.source.sqlite import sqlite_errors


def extract(snapshot_path: Path, table: str, shape: SourceShape, rowids: Sequence[int] | None = None) -> Frame:
    """Read one table out of a snapshot, by column name, in the order of its row ids.

    Args:
        snapshot_path: A snapshot's file (never the store itself).
        table: tags, credentials or credential_tags.
        shape: The snapshot's shape.
        rowids: These rows alone; all by default.

    Returns:
        `rows`: `source_rowid` int64, then one column of cells (`core.cells`) for each known column that the
        table has, in chunks of at most 10,000 rows. A WITHOUT ROWID table's `source_rowid` is the place in the
        order of its key, from 1. Notes: `flavour`, `row_count`, `absent_columns` (known columns that the table
        has not, joined by commas), and `absent` = "true" if the table does not exist: no rows then, and no
        further columns.

    Raises:
        SourceError: If the file cannot be read.
    """
    notes = {"flavour": shape.flavour}
    if table not in shape.tables:
        nothing = nothing_of(shape)
        return Frame(nothing.tables, nothing.notes | {"absent": "true"})
    known = shape.tables[table]
    with sqlite_errors(f"snapshot table {table}"):
        uri = file_uri(snapshot_path)
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            rows = _read(connection, known, rowids)
    return Frame({"rows": rows}, notes | {"row_count": str(rows.num_rows), "absent_columns": ",".join(known.absent)})


def nothing_of(shape: SourceShape) -> Frame:
    """No rows of a table, and no columns but the row id."""
    nothing = pa.table({"source_rowid": pa.array([], pa.int64())})
    return Frame({"rows": nothing}, {"flavour": shape.flavour, "row_count": "0", "absent_columns": ""})


def _read(connection: sqlite3.Connection, table: TableShape, rowids: Sequence[int] | None) -> pa.Table:
    try:
        return _cells(connection, table, rowids, escaped=False)
    except sqlite3.OperationalError:  # a text that is not UTF-8; any other fault comes again
        return _cells(connection, table, rowids, escaped=True)


def _cells(
    connection: sqlite3.Connection, table: TableShape, rowids: Sequence[int] | None, *, escaped: bool
) -> pa.Table:
    names = ("source_rowid", *table.columns)
    columns: list[list[pa.Array]] = [[] for _ in names]
    with without_gc():
        for rows in chunks(connection, table, numbered=True, escaped=escaped, rowids=rowids):
            for column, values in zip(columns, zip(*rows, strict=True), strict=True):
                column.append(cells_from_values(values))
    table_columns = [pa.chunked_array(columns[0], pa.int64()), *map(unify, columns[1:])]
    return pa.Table.from_arrays(table_columns, names=list(names))
