"""The row rules as declared schemas: one a table, built from the target's real column lengths.

A schema speaks of a row as it would be written, after repairs and before references are looked up. A check's name
is the reason code it gives. The password column is in none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from credstore_pipeline.core.errors import CredstoreError
from credstore_pipeline.core.reasons import Reason
from credstore_pipeline.core.rules.layout import COUNTERS, NOT_EMPTY, REFERENCES, REQUIRED, STAMPS, TEXTS
from credstore_pipeline.core.rules.numbers import INT4_MAX, INT4_MIN
from credstore_pipeline.core.rules.parts import Mask, Positions, as_mask
from credstore_pipeline.core.rules.texts import UNREADABLE, has_nul

if TYPE_CHECKING:
    import pandas as pd
    import pandera.pandas as pandera

Limits = Mapping[tuple[str, str], int | None]
Broken = list[tuple[str, Reason, Positions]]
"""Column, rule and the rows that break it."""

_HOLDS = "holds_after_repair"
_PRECEDENCE = (
    Reason.MISSING_VALUE,
    Reason.DUPLICATE_ID,
    Reason.INVALID_TEXT,
    Reason.VALUE_TOO_LONG,
    Reason.INVALID_NUMBER,
)


def table_schema(table: str, limits: Limits) -> pandera.DataFrameSchema:
    """The rules of one table.

    Args:
        table: tags, credentials or credential_tags.
        limits: (table, column) -> characters, None for unlimited.

    Raises:
        KeyError: If a column's limit is not given; none is assumed.
    """
    # Slow to import (half a second and more), and needed in one step alone.
    import pandera.pandas as pandera

    def check(name: str, holds: Callable[[pa.Array], Mask]) -> pandera.Check:
        # Nulls are judged like any other value: pandera passes them unless told so.
        return pandera.Check(_on_series(holds), name=str(name), ignore_na=False)

    def texts(column: str) -> pandera.Column:
        checks = [check(Reason.INVALID_TEXT, lambda text: _or_null(pc.invert(has_nul(text))))]
        if column in REQUIRED[table]:
            checks.append(check(Reason.MISSING_VALUE, _is_filled if column in NOT_EMPTY[table] else _is_there))
        if column == "id":
            checks.append(check(Reason.DUPLICATE_ID, _is_single))
        limit = None if column in REFERENCES[table] else limits[table, column]
        if limit is not None:
            checks.append(check(Reason.VALUE_TOO_LONG, lambda text: _fits(text, limit)))
        return _column(pa.string(), checks)

    def _column(dtype: pa.DataType, checks: list[pandera.Check]) -> pandera.Column:
        import pandas as pd

        return pandera.Column(pd.ArrowDtype(dtype), checks, nullable=True)

    columns = {column: texts(column) for column in TEXTS[table]}
    columns |= {column: _column(pa.timestamp("us"), [check(_HOLDS, _is_there)]) for column in STAMPS}
    if table != "tags":
        columns |= {column: _column(pa.int64(), [check(_HOLDS, _is_int4)]) for column in COUNTERS}
    if table == "credential_tags":
        columns["priority"] = _column(pa.float64(), [check(Reason.INVALID_NUMBER, _is_there)])
    return pandera.DataFrameSchema(columns, strict=True, name=table)


def broken_rules(table: str, columns: Mapping[str, pa.Array], limits: Limits) -> Broken:
    """Which rows break which rule in which column, by the rules' precedence.

    Args:
        table: tags, credentials or credential_tags.
        columns: The columns of the table's schema, all of one length.
        limits: (table, column) -> characters, None for unlimited.

    Raises:
        CredstoreError: If a repair left what the target would refuse: a defect, never a row's fault.
    """
    if not len(columns["id"]):
        return []
    import pandas as pd
    import pandera.errors
    from pandera.config import ValidationDepth, config_context

    schema = table_schema(table, limits)
    frame = pa.table({name: columns[name] for name in schema.columns}).to_pandas(types_mapper=pd.ArrowDtype)
    failures: pd.DataFrame | None = None
    try:
        # An environment variable of pandera's can switch validation off; here it is not optional.
        with config_context(validation_enabled=True, validation_depth=ValidationDepth.SCHEMA_AND_DATA):
            schema.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        # The error holds the values themselves: columns, rules and positions are all that leaves it.
        failures = error.failure_cases[["column", "check", "index"]]
    if failures is None:
        return []
    return _sorted(table, failures)


def _sorted(table: str, failures: pd.DataFrame) -> Broken:
    broken: Broken = []
    for (column, name), rows in failures.groupby(["column", "check"], sort=False, dropna=False)["index"]:
        # A check that could not be made has no rows.
        if name not in set(Reason) or rows.isna().any():
            raise CredstoreError(
                f"{table}.{column}",
                f"a row rule does not hold after the repairs ({name}, {len(rows)} rows)",
                todo="This is a defect of the pipeline; please report it.",
            )
        broken.append((str(column), Reason(name), np.sort(rows.to_numpy(dtype=np.int64))))
    order = [*TEXTS[table], "priority"]
    return sorted(broken, key=lambda rule: (_PRECEDENCE.index(rule[1]), order.index(rule[0])))


def _on_series(holds: Callable[[pa.Array], Mask]) -> Callable[[pd.Series[Any]], pd.Series[bool]]:
    def judged(series: pd.Series[Any]) -> pd.Series[bool]:
        import pandas as pd

        values = pa.array(series)
        flat = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        return pd.Series(holds(flat), index=series.index)

    return judged


def _or_null(holds: pa.BooleanArray) -> Mask:
    return as_mask(pc.fill_null(holds, True))


def _is_there(values: pa.Array) -> Mask:
    return as_mask(pc.is_valid(values))


def _is_filled(text: pa.StringArray) -> Mask:
    return as_mask(pc.fill_null(pc.greater(pc.binary_length(text), 0), False))


def _is_single(text: pa.StringArray) -> Mask:
    """Where no other row has the same id; ids that are missing or cannot be read are not compared."""
    encoded = text.dictionary_encode()
    distinct = encoded.dictionary
    if len(distinct) + text.null_count == len(text):
        return np.ones(len(text), dtype=np.bool_)
    places = encoded.indices.fill_null(len(distinct)).to_numpy()
    single = np.bincount(places, minlength=len(distinct) + 1) == 1
    single[len(distinct)] = True
    single[:-1] |= as_mask(pc.is_in(distinct, value_set=pa.array(["", UNREADABLE])))
    of_row: Mask = single[places]
    return of_row


def _fits(text: pa.StringArray, limit: int) -> Mask:
    return _or_null(pc.less_equal(pc.utf8_length(text), limit))


def _is_int4(values: pa.Array) -> Mask:
    held = pc.and_(pc.greater_equal(values, INT4_MIN), pc.less_equal(values, INT4_MAX))
    return as_mask(pc.fill_null(held, False))
