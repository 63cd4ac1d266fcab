"""Reads columns of text, and says of a refused one what is wrong with it, never what it is."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from credstore_pipeline.core.cells import cells_as_text
from credstore_pipeline.core.reasons import Reason
from credstore_pipeline.core.rules.parts import Mask, Positions, as_mask

UNREADABLE = "\0"
"""Stands for bytes that are not UTF-8: not NULL, not empty, and refused like every text with a NUL."""


@dataclass(frozen=True)
class TextColumn:
    """A column read as text.

    Attributes:
        text: NULL as null, bytes that are not UTF-8 as `UNREADABLE`.
        unreadable: Where the bytes are not UTF-8.
    """

    text: pa.StringArray
    unreadable: Mask


def read_text(rows: pa.Table, column: str) -> TextColumn:
    """Read a column of an extracted table; one that the source lacks is all NULL."""
    if column not in rows.column_names:
        return TextColumn(pa.nulls(rows.num_rows, pa.string()), as_mask(pa.repeat(pa.scalar(False), rows.num_rows)))
    text, unreadable = cells_as_text(rows[column])
    if unreadable.any():
        text = pc.if_else(pa.array(unreadable), UNREADABLE, text)
    return TextColumn(text, unreadable)


def has_nul(text: pa.StringArray) -> pa.BooleanArray:
    """Where a NUL stands in the text; null stays null."""
    return pc.match_substring(text, "\0")


def usable_ids(text: pa.StringArray) -> pa.StringArray:
    """The ids that PostgreSQL can hold as text, of any length; null for the others."""
    return pc.if_else(has_nul(text), pa.scalar(None, pa.string()), text)


def describe(column: str, read: TextColumn, reason: Reason, rows: Positions, limit: int | None) -> list[str]:
    """Say for each refused row what is wrong with its column: column names and counts alone.

    Args:
        column: The column's name.
        read: The column.
        reason: Which rule the rows broke.
        rows: Their positions.
        limit: Characters that the target's column holds.
    """
    found = read.text.take(pa.array(rows))
    if reason is Reason.MISSING_VALUE:
        return [f"{column}: NULL" if null else f"{column}: empty" for null in found.is_null().to_pylist()]
    if reason is Reason.VALUE_TOO_LONG:
        lengths = pc.utf8_length(found).to_pylist()
        return [f"{column}: {length} characters, the column holds {limit}" for length in lengths]
    if reason is Reason.DUPLICATE_ID:
        shared = {entry["values"]: entry["counts"] for entry in pc.value_counts(found).to_pylist()}
        return [f"{column}: {shared[value]} rows have it" for value in found.to_pylist()]
    faults = {True: "bytes that are not UTF-8", False: "a NUL character"}
    return [f"{column}: {faults[bool(unreadable)]}" for unreadable in read.unreadable[rows]]
