"""The list of repaired values: which rule set which column of which row, and to what."""

from collections.abc import Iterable
from enum import StrEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from credstore_pipeline.core.rules.parts import Mask, Positions
from credstore_pipeline.core.rules.verdict import REPAIRS


class Rule(StrEnum):
    """Codes of `credstore_sync.repairs.rule`."""

    COUNTER_NULL_TO_ZERO = "counter_null_to_zero"
    COUNTER_UNUSABLE_TO_ZERO = "counter_unusable_to_zero"
    COUNTER_FROM_REAL = "counter_from_real"
    COUNTER_FROM_TEXT = "counter_from_text"
    COUNTER_OVER_INT4_TO_MAX = "counter_over_int4_to_max"
    COUNTER_UNDER_INT4_TO_MIN = "counter_under_int4_to_min"
    PRIORITY_NULL_TO_ZERO = "priority_null_to_zero"
    PRIORITY_FROM_TEXT = "priority_from_text"
    USE_KEYS_NULL_TO_FALSE = "use_keys_null_to_false"
    USE_KEYS_READ_AS_TRUE = "use_keys_read_as_true"
    USE_KEYS_READ_AS_FALSE = "use_keys_read_as_false"
    TIMESTAMP_UNUSABLE_TO_NULL = "timestamp_unusable_to_null"
    TIMESTAMP_TO_UTC = "timestamp_to_utc"
    TIMESTAMP_EPOCH_SECONDS = "timestamp_epoch_seconds"
    TIMESTAMP_EPOCH_MILLISECONDS = "timestamp_epoch_milliseconds"
    TIMESTAMP_EPOCH_MICROSECONDS = "timestamp_epoch_microseconds"
    TIMESTAMP_FROM_OTHER = "timestamp_from_other"
    TIMESTAMP_FROM_SNAPSHOT = "timestamp_from_snapshot"
    ASSOCIATION_ID_FROM_PAIR = "association_id_from_pair"
    TAG_PLACEHOLDER = "tag_placeholder"
    COLUMN_ABSENT_TO_NULL = "column_absent_to_null"
    COLUMN_ABSENT_TO_ZERO = "column_absent_to_zero"
    COLUMN_ABSENT_TO_FALSE = "column_absent_to_false"


Noted = tuple[Rule, Positions]
"""A rule and the rows of one column that it set."""

WHOLE_COLUMN = "*"
"""Stands for the row id where the source table lacks the column."""


class Repairs:
    """Gathers one table's repairs, and lists those of the rows that are written."""

    def __init__(self, table: str) -> None:
        """Start with none."""
        self._table = table
        self._noted: list[tuple[str, Rule, Positions, pa.Array | None]] = []
        self._absent: list[dict[str, str | None]] = []

    def note(self, column: str, noted: Iterable[Noted], values: pa.Array | None = None) -> None:
        """Note rows of a column.

        Args:
            column: The column.
            noted: Rules and positions.
            values: The column after all repairs, one value a row; None where values must not be listed.
        """
        self._noted += [(column, rule, rows, values) for rule, rows in noted if len(rows)]

    def note_absent(self, column: str, rule: Rule, value: str | None = None) -> None:
        """Note once that the source table lacks the column."""
        self._absent.append(
            {
                "source_table": self._table,
                "source_id": WHOLE_COLUMN,
                "column_name": column,
                "rule": rule,
                "value": value,
            }
        )

    def listed(self, ids: pa.Array, written: Mask) -> pa.Table:
        """The repairs of written rows (`REPAIRS`); none of a column where no row is written.

        Args:
            ids: Every row's id.
            written: Which rows are written.
        """
        parts = [pa.Table.from_pylist(self._absent if written.any() else [], REPAIRS)]
        for column, rule, rows, values in self._noted:
            kept = pa.array(rows[written[rows]])
            parts.append(
                pa.table(
                    {
                        "source_table": pa.repeat(pa.scalar(self._table), len(kept)),
                        "source_id": ids.take(kept),
                        "column_name": pa.repeat(pa.scalar(column), len(kept)),
                        "rule": pa.repeat(pa.scalar(str(rule)), len(kept)),
                        "value": pa.nulls(len(kept), pa.string()) if values is None else _as_texts(values.take(kept)),
                    }
                ).cast(REPAIRS)
            )
        return pa.concat_tables(parts)


def _as_texts(values: pa.Array) -> pa.StringArray:
    if values.type == pa.float64():
        # Arrow writes 0.0 as "0" and 1e300 as "1e+300": Python's own form reads back as the same real.
        distinct = values.dictionary_encode()
        texts = pa.array([repr(value) for value in distinct.dictionary.to_pylist()], pa.string())
        return texts.take(distinct.indices)
    return pc.cast(values, pa.string())


def positions(mask: Mask) -> Positions:
    """Where the mask is set."""
    return np.flatnonzero(mask)
