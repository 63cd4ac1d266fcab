"""Which rows of a snapshot differ from those of an earlier one, if rows were edited in place and nothing else."""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from credstore_pipeline.core.errors import CouldNotCheck, SnapshotNotProven
from credstore_pipeline.core.load.columns import IDENTITY as SUBSTANCE
from credstore_pipeline.core.source.connect import file_uri
from credstore_pipeline.core.source.inspect import SourceShape, TableShape
from credstore_pipeline.core.source.snapshot import Snapshot, known_snapshot
from credstore_pipeline.core.source.sqlite import sqlite_errors

IDENTITY = {"credentials": ("id",), "credential_tags": ("id", "credential_id", "tag_id")}
"""Columns that say which row a row is, and whose: another value there is another row."""

AT_MOST = 0.1
"""Part of a table's rows; where more were edited, a pass over all of them takes hardly longer."""

Edits = Mapping[str, list[int]]
"""Table -> row ids, ascending."""


def edits_since(before: Path, now: Snapshot, key: bytes) -> Edits | None:
    """Compare a proven snapshot with one of earlier.

    Args:
        before: The earlier one's file.
        now: The later one.
        key: That both were taken with.

    Returns:
        As `edited_rows`; None too if the earlier one is gone or altered, or had other tables.

    Raises:
        SourceError: If a file cannot be read.
    """
    try:
        known = known_snapshot(before, key)
    except (CouldNotCheck, SnapshotNotProven):
        return None
    return edited_rows(known.path, now.path, now.shape) if known.shape == now.shape else None


def edited_rows(before: Path, now: Path, shape: SourceShape) -> Edits | None:
    """Compare two snapshots value by value, types included; nothing is opened.

    Args:
        before: The earlier snapshot's file.
        now: The later one's.
        shape: The shape of both.

    Returns:
        The edited rows of credentials and associations. None if anything else happened: a row came, went or became
        another one, a tag changed, too many rows did, or a table has no row ids to know rows by.

    Raises:
        SourceError: If a file cannot be read.
    """
    if any(table.key for table in shape.tables.values()):
        return None
    found: dict[str, list[int]] = {}
    with (
        sqlite_errors("snapshots"),
        closing(sqlite3.connect(file_uri(now), uri=True, isolation_level=None)) as connection,
    ):
        # Both are snapshots: nobody writes to them.
        connection.execute("ATTACH ? AS before", (file_uri(before),))
        for table in shape.tables.values():
            rows = _edited(connection, table)
            if rows is None or (rows and table.name not in IDENTITY):
                return None
            found[table.name] = rows
    return {table: found.get(table, []) for table in IDENTITY}


def ids_of(path: Path, rowids: list[int]) -> list[str]:
    """Ids of these credentials, as text; none for a row without one.

    Raises:
        SourceError: If the file cannot be read.
    """
    with (
        sqlite_errors("snapshot"),
        closing(sqlite3.connect(file_uri(path), uri=True, isolation_level=None)) as connection,
    ):
        found = connection.execute(
            "SELECT CAST(id AS TEXT) FROM credentials WHERE rowid IN (SELECT value FROM json_each(?)) "
            "AND id IS NOT NULL",
            (json.dumps(rowids),),
        )
        return [row_id for (row_id,) in found]


def _edited(connection: sqlite3.Connection, table: TableShape) -> list[int] | None:
    sizes = [
        connection.execute(f"SELECT count(*) FROM {place}.{table.name}").fetchone()[0] for place in ("main", "before")
    ]
    if sizes[0] != sizes[1]:
        return None
    another = _differs(table, [name for name in IDENTITY.get(table.name, ()) if name in table.columns]) or "0"
    # As many rows as before, and none whose row id is new: so none is gone either.
    rows = connection.execute(
        f"SELECT n.rowid, o.rowid IS NULL OR {another} FROM main.{table.name} n "
        f"LEFT JOIN before.{table.name} o ON o.rowid = n.rowid "
        f"WHERE o.rowid IS NULL OR {_differs(table, table.columns)} ORDER BY n.rowid LIMIT ?",
        (int(sizes[0] * AT_MOST) + 1,),
    ).fetchall()
    if len(rows) > sizes[0] * AT_MOST or any(other for _, other in rows):
        return None
    return [rowid for rowid, _ in rows]


def _differs(table: TableShape, columns: tuple[str, ...] | list[str]) -> str:
    # BINARY: a column declared NOCASE calls two passwords equal. typeof: 1 is 1.0 otherwise, which matters in a name
    # and means the same in a counter or a time.
    values = [f"n.{name} COLLATE BINARY IS NOT o.{name} COLLATE BINARY" for name in columns]
    types = [f"typeof(n.{name}) <> typeof(o.{name})" for name in columns if name in ("id", *SUBSTANCE[table.name])]
    return " OR ".join([*values, *types])
