"""Repairs the columns that logins move: counters and times. No row is refused for one of them."""

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import pyarrow as pa

from credstore_pipeline.core.rules.layout import COUNTERS, LAST, STAMPS
from credstore_pipeline.core.rules.numbers import read_counters
from credstore_pipeline.core.rules.repairs import Repairs, Rule
from credstore_pipeline.core.rules.timestamps import (
    absent_times,
    as_times,
    fill,
    first_repairs,
    in_micros,
    read_times,
)
from credstore_pipeline.core.rules.verdict import TargetView


def repair_counters(rows: pa.Table, repairs: Repairs) -> dict[str, pa.Array]:
    """Both counters, never NULL and within int4."""
    counters = {}
    for column in COUNTERS:
        if column in rows.column_names:
            values, noted = read_counters(rows[column])
            counters[column] = pa.array(values)
            repairs.note(column, noted, counters[column])
        else:
            counters[column] = pa.array(np.zeros(rows.num_rows, dtype=np.int64))
            repairs.note_absent(column, Rule.COLUMN_ABSENT_TO_ZERO, "0")
    return counters


def repair_last(rows: pa.Table, repairs: Repairs) -> dict[str, pa.Array]:
    """The times of the last use, success and failure; NULL where there is none or it cannot be read."""
    last = {}
    for column in LAST:
        if column in rows.column_names:
            times = read_times(rows[column])
            last[column] = times.as_array()
            repairs.note(column, [*times.noted, (Rule.TIMESTAMP_UNUSABLE_TO_NULL, times.unusable)], last[column])
        else:
            last[column] = pa.nulls(rows.num_rows, pa.timestamp("us"))
            repairs.note_absent(column, Rule.COLUMN_ABSENT_TO_NULL)
    return last


def repair_stamps(
    table: str, rows: pa.Table, ids: pa.Array, target: TargetView, snapshot_time: datetime, repairs: Repairs
) -> dict[str, pa.Array]:
    """`created_at` and `updated_at`, never NULL: the application cannot read a row that lacks one.

    Args:
        table: The source table.
        rows: The extracted rows.
        ids: The ids that the rows are written under.
        target: Holds the first repairs; a value that was repaired once stays what it then became.
        snapshot_time: Stands for a time that nothing else tells.
        repairs: Takes what was repaired.
    """
    first, now = first_repairs(target.repaired, table), in_micros(snapshot_time)
    there = {column: read_times(rows[column]) for column in STAMPS if column in rows.column_names}
    stamps = {}
    for column, beside in (STAMPS, STAMPS[::-1]):
        times, other = (there.get(name) or absent_times(rows.num_rows) for name in (column, beside))
        micros, noted = fill(column, times, other, ids, first, now)
        stamps[column] = as_times(micros)
        if column in there:
            repairs.note(column, [*times.noted, *noted], stamps[column])
        elif beside in there:
            repairs.note_absent(column, Rule.TIMESTAMP_FROM_OTHER)
        else:
            repairs.note_absent(column, Rule.TIMESTAMP_FROM_SNAPSHOT, _first_or(first[column], now))
    return stamps


def _first_or(first: Mapping[str, int], now: int) -> str:
    return str(as_times(np.array([first.get("*", now)])).cast(pa.string())[0].as_py())
