"""Reads columns of counters, priorities and switches (docs/legacy-formats.md, "Storage facts")."""

import math
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from credstore_pipeline.core.rules.parts import Ints, Mask, Reals, as_mask, split
from credstore_pipeline.core.rules.repairs import Noted, Rule

INT4_MIN, INT4_MAX = -(2**31), 2**31 - 1

_INTEGER = re.compile(r"([+-]?)0*([0-9]+)")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def read_counters(cells: pa.Array | pa.ChunkedArray) -> tuple[Ints, tuple[Noted, ...]]:
    """Read counters into int4, each NULL or unusable one as 0.

    Whole reals and texts that are exactly an integer are that integer. What int4 cannot hold becomes the nearest
    that it can.

    Returns:
        The counters, and the repaired rows by rule; one rule a row.
    """
    parts = split(cells)
    counters = np.zeros(parts.count, dtype=np.int64)
    noted: list[Noted] = [
        (Rule.COUNTER_NULL_TO_ZERO, parts.nulls),
        (Rule.COUNTER_UNUSABLE_TO_ZERO, parts.unreadable),
    ]
    texts = [_whole(text) for text in parts.texts[1].to_pylist()]
    for rows, numbers, usable, converted in (
        (*parts.integers, np.ones(len(parts.integers[0]), np.bool_), None),
        (*parts.reals, np.floor(parts.reals[1]) == parts.reals[1], Rule.COUNTER_FROM_REAL),
        (
            parts.texts[0],
            np.array([number or 0 for number in texts], np.int64),
            np.array([number is not None for number in texts], np.bool_),
            Rule.COUNTER_FROM_TEXT,
        ),
    ):
        # Infinity equals its own floor.
        usable = usable & np.isfinite(numbers)
        over, under = usable & (numbers > INT4_MAX), usable & (numbers < INT4_MIN)
        counters[rows] = np.where(usable, np.clip(numbers, INT4_MIN, INT4_MAX), 0)
        noted += [
            (Rule.COUNTER_UNUSABLE_TO_ZERO, rows[~usable]),
            (Rule.COUNTER_OVER_INT4_TO_MAX, rows[over]),
            (Rule.COUNTER_UNDER_INT4_TO_MIN, rows[under]),
        ]
        if converted:
            noted.append((converted, rows[usable & ~over & ~under]))
    return counters, tuple(note for note in noted if len(note[1]))


def read_priorities(cells: pa.Array | pa.ChunkedArray) -> tuple[Reals, Mask, tuple[Noted, ...]]:
    """Read priorities; NULL is 0.0, the application's default, and a text that is a number is that number.

    Returns:
        The priorities (0.0 where there is no number), which rows have a number, and the repaired rows by rule.
    """
    parts = split(cells)
    priority = np.zeros(parts.count, dtype=np.float64)
    usable = np.ones(parts.count, dtype=np.bool_)
    usable[parts.unreadable] = False
    for rows, numbers in (parts.integers, parts.reals):
        priority[rows] = numbers
    rows, texts = parts.texts
    numbers = np.array([_decimal(text) for text in texts.to_pylist()], dtype=np.float64)
    is_number = np.isfinite(numbers)
    priority[rows] = np.where(is_number, numbers, 0.0)
    usable[rows] = is_number
    noted = ((Rule.PRIORITY_NULL_TO_ZERO, parts.nulls), (Rule.PRIORITY_FROM_TEXT, rows[is_number]))
    return priority, usable, tuple(note for note in noted if len(note[1]))


def priorities(cells: pa.Array | pa.ChunkedArray) -> Reals:
    """The priorities that a column stands for, NaN where a cell is no number."""
    priority, usable, _ = read_priorities(cells)
    return np.where(usable, priority, np.nan)


def read_switches(cells: pa.Array | pa.ChunkedArray) -> tuple[Mask, tuple[Noted, ...]]:
    """Read booleans as the application's reader does: anything but zero and the empty text is true, NULL is false."""
    parts = split(cells)
    switches = np.zeros(parts.count, dtype=np.bool_)
    usual = np.zeros(parts.count, dtype=np.bool_)
    for rows, numbers in (parts.integers, parts.reals):
        switches[rows] = numbers != 0
    rows, integers = parts.integers
    usual[rows] = (integers == 0) | (integers == 1)
    rows, texts = parts.texts
    switches[rows] = as_mask(pc.greater(pc.binary_length(texts), 0))
    switches[parts.unreadable] = True
    usual[parts.nulls] = True
    noted = (
        (Rule.USE_KEYS_NULL_TO_FALSE, parts.nulls),
        (Rule.USE_KEYS_READ_AS_TRUE, np.flatnonzero(~usual & switches)),
        (Rule.USE_KEYS_READ_AS_FALSE, np.flatnonzero(~usual & ~switches)),
    )
    return switches, tuple(note for note in noted if len(note[1]))


def _whole(text: str) -> int | None:
    """The integer that the text is, at most a little beyond int4; None if it is none."""
    found = _INTEGER.fullmatch(text)
    if found is None:
        return None
    # Python refuses to convert thousands of digits, and eleven already say "too big".
    size = int(found[2]) if len(found[2]) <= 10 else 10**11
    return -size if found[1] == "-" else size


def _decimal(text: str) -> float:
    """The number that the text is: NaN if it is none, infinite if it is beyond what a real can hold."""
    return float(text) if _DECIMAL.fullmatch(text) else math.nan
