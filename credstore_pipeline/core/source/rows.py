"""A table's rows in order, by column name, chunk by chunk."""

import gc
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from credstore_pipeline.core.source.inspect import TableShape

CHUNK_ROWS = 10_000
"""Rows held as Python objects at a time. Part of the content digest's definition: do not change it."""


@contextmanager
def without_gc() -> Iterator[None]:
    """Hold Python's cycle collector off: it walks every row held, again and again, and rows have no cycles."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def chunks(
    connection: sqlite3.Connection,
    table: TableShape,
    *,
    numbered: bool,
    escaped: bool,
    rowids: Sequence[int] | None = None,
) -> Iterator[list[tuple[object, ...]]]:
    """Read a table's rows in the order of their row ids, or of their key where they have none.

    Args:
        connection: On the file.
        table: Which columns, by name.
        numbered: Give the row id first; in a WITHOUT ROWID table the place in the order of its key, from 1.
        escaped: Read text with `surrogateescape`. Needed for text that is not UTF-8, and slower.
        rowids: Read these rows alone, of a table that has row ids.

    Raises:
        sqlite3.OperationalError: Also if a text is not UTF-8 and `escaped` is false; its message quotes the text.
    """
    order = ", ".join(table.key) or "rowid"
    only = "" if rowids is None else " WHERE rowid IN (SELECT value FROM json_each(?))"
    number = f"row_number() OVER (ORDER BY {order}), " if table.key else "rowid, "
    sql = f"SELECT {number if numbered else ''}{', '.join(table.columns)} FROM {table.name}{only} ORDER BY {order}"
    former = connection.text_factory
    if escaped:
        connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
    try:
        cursor = connection.execute(sql, () if rowids is None else (json.dumps(list(rowids)),))
        while rows := cursor.fetchmany(CHUNK_ROWS):
            yield rows
    finally:
        connection.text_factory = former
