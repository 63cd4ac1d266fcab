"""Reads columns of times as the application read them, in UTC (docs/legacy-formats.md, "Storage facts").

Texts are read as Python 3.11 reads them; numbers are epochs: seconds, from 1e11 on milliseconds, from 1e14 on
microseconds. What is neither is unusable.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from credstore_pipeline.core.rules.canonical_times import read_canonical, read_canonical_with_offset
from credstore_pipeline.core.rules.isoformat import read_iso
from credstore_pipeline.core.rules.parts import Ints, Mask, Positions, Reals, split
from credstore_pipeline.core.rules.repairs import Noted, Rule

_MILLISECONDS_FROM, _MICROSECONDS_FROM, _MICROSECONDS_TO = 1e11, 1e14, 253_402_300_800_000_000
_EPOCHS = (
    (Rule.TIMESTAMP_EPOCH_SECONDS, 0, _MILLISECONDS_FROM, 1_000_000),
    (Rule.TIMESTAMP_EPOCH_MILLISECONDS, _MILLISECONDS_FROM, _MICROSECONDS_FROM, 1_000),
    (Rule.TIMESTAMP_EPOCH_MICROSECONDS, _MICROSECONDS_FROM, _MICROSECONDS_TO, 1),
)
"""Rule, smallest number, number that is too big, microseconds in one."""


@dataclass(frozen=True)
class Times:
    """A column of times.

    Attributes:
        micros: Microseconds since 1970, UTC; 0 where not usable.
        usable: Where the cell named a moment.
        missing: Where it was NULL.
        noted: Rows that were converted, by rule.
    """

    micros: Ints
    usable: Mask
    missing: Mask
    noted: tuple[Noted, ...] = ()

    def as_array(self) -> pa.Array:
        """The column, null where not usable."""
        return as_times(self.micros, self.usable)

    @property
    def unusable(self) -> Positions:
        """Rows that hold something that is no time."""
        return np.flatnonzero(~self.usable & ~self.missing)


def read_times(cells: pa.Array | pa.ChunkedArray) -> Times:
    """Read a column of cells."""
    parts = split(cells)
    micros = np.zeros(parts.count, dtype=np.int64)
    usable = np.zeros(parts.count, dtype=np.bool_)
    missing = np.zeros(parts.count, dtype=np.bool_)
    missing[parts.nulls] = True
    rows, texts = parts.texts
    micros[rows], usable[rows], with_offset = _read_texts(texts)
    noted: list[Noted] = [(Rule.TIMESTAMP_TO_UTC, rows[with_offset])]
    for rows, numbers in (parts.integers, parts.reals):
        for rule, start, end, unit in _EPOCHS:
            within = (numbers >= start) & (numbers < end)
            micros[rows[within]] = _in_micros(numbers[within], unit)
            noted.append((rule, rows[within]))
        usable[rows] = (numbers >= 0) & (numbers < _MICROSECONDS_TO)
    return Times(micros, usable, missing, tuple(note for note in noted if len(note[1])))


def absent_times(count: int) -> Times:
    """A column that the source does not have: all missing."""
    return Times(np.zeros(count, np.int64), np.zeros(count, np.bool_), np.ones(count, np.bool_))


def as_times(micros: Ints, usable: Mask | None = None) -> pa.Array:
    """A column of naive UTC times of the target's type."""
    return pa.array(micros, pa.timestamp("us"), mask=None if usable is None else ~usable)


def in_micros(moment: datetime) -> int:
    """Microseconds since 1970 of an aware moment, or of a naive one in UTC."""
    naive = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    return int(np.datetime64(naive, "us").astype(np.int64))


def fill(
    column: str, times: Times, other: Times, ids: pa.Array, first: Mapping[str, Mapping[str, int]], now: int
) -> tuple[Ints, tuple[Noted, ...]]:
    """Complete `created_at` or `updated_at`: by what an earlier run put there, by the other one, or by now.

    Args:
        column: Which of the two `times` is.
        times: The column as read.
        other: The other one as read.
        ids: The rows' ids.
        first: Column -> row id (or `*`) -> microseconds of the first repair.
        now: Microseconds of the snapshot's time.

    Returns:
        The completed column, and the repaired rows by rule. The rule says what a first run would do, so that a
        later run lists the same repair.
    """
    gaps = ~times.usable
    filled = np.where(times.usable, times.micros, np.where(other.usable, other.micros, now))
    beside = next(name for name in ("created_at", "updated_at") if name != column)
    for memory, rows in ((first.get(beside), gaps & ~other.usable), (first.get(column), gaps)):
        if memory:
            places = np.flatnonzero(rows)
            # Each row remembers its own repair; a column that was absent has one for all.
            kept = [memory.get(i, memory.get("*")) for i in ids.take(pa.array(places)).to_pylist()]
            known = np.array([value is not None for value in kept], dtype=np.bool_)
            filled[places[known]] = [value for value in kept if value is not None]
    return filled, (
        (Rule.TIMESTAMP_FROM_OTHER, np.flatnonzero(gaps & other.usable)),
        (Rule.TIMESTAMP_FROM_SNAPSHOT, np.flatnonzero(gaps & ~other.usable)),
    )


def first_repairs(repaired: Mapping[tuple[str, str, str], str | None], table: str) -> dict[str, dict[str, int]]:
    """Earlier repairs of a table's `created_at` and `updated_at`: column -> row id (or `*`) -> microseconds."""
    first: dict[str, dict[str, int]] = {"created_at": {}, "updated_at": {}}
    for (source_table, row_id, column), value in repaired.items():
        if source_table == table and column in first and value and (moment := read_iso(value)):
            first[column][row_id] = moment.micros
    return first


def _read_texts(texts: pa.StringArray) -> tuple[Ints, Mask, Mask]:
    micros, usable = read_canonical(texts)
    with_offset = np.zeros(len(texts), dtype=np.bool_)
    unread = np.flatnonzero(~usable)
    if len(unread):
        micros[unread], with_offset[unread] = read_canonical_with_offset(texts.take(pa.array(unread)))
        usable |= with_offset
        unread = np.flatnonzero(~usable)
    if len(unread):
        # Odd forms come from one hand or one program: each distinct text is read once.
        distinct = texts.take(pa.array(unread)).dictionary_encode()
        moments = [read_iso(text) for text in distinct.dictionary.to_pylist()]
        of_row = distinct.indices.to_numpy()
        usable[unread] = np.array([moment is not None for moment in moments])[of_row]
        micros[unread] = np.array([moment.micros if moment else 0 for moment in moments], np.int64)[of_row]
        with_offset[unread] = np.array([bool(moment and moment.had_offset) for moment in moments])[of_row]
    return micros, usable, with_offset


def _in_micros(numbers: Ints | Reals, unit: int) -> Ints:
    if numbers.dtype == np.int64:
        return numbers.astype(np.int64) * unit
    # Whole and fraction apart, as the clock does it: the product of a big real and 1e6 would round too early.
    whole = np.floor(numbers)
    return whole.astype(np.int64) * unit + np.rint((numbers - whole) * unit).astype(np.int64)
