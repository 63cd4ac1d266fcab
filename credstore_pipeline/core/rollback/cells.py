"""The target's columns as values that SQLite holds the way the old application wrote them."""

from collections.abc import Callable
from datetime import datetime

import pyarrow as pa

from credstore_pipeline.core.cells import InvalidText

AS_TEXT = "CAST(? AS TEXT)"


def sqlite_values(column: pa.ChunkedArray, *, whole_seconds: bool) -> list[object]:
    """Give a column's values for binding.

    Args:
        column: Text, integers, floats, booleans or naive timestamps in UTC.
        whole_seconds: Leave a fraction of zero out of times, as the setup script's tables have it; the models always
            write six digits.
    """
    write = _writer(column.type, whole_seconds)
    values: list[object] = column.to_pylist()
    return values if write is None else [None if value is None else write(value) for value in values]


def bound(value: object) -> object:
    """A quarantined row's value for binding: the bytes of a text that is not UTF-8 go through `AS_TEXT`."""
    return bytes(value) if isinstance(value, InvalidText) else value


def _writer(kind: pa.DataType, whole_seconds: bool) -> "Callable[[object], object] | None":
    if pa.types.is_boolean(kind):
        return lambda value: int(bool(value))
    if pa.types.is_timestamp(kind):
        return lambda value: _time(value, whole_seconds)
    return None


def _time(moment: object, whole_seconds: bool) -> str:
    assert isinstance(moment, datetime)
    short = whole_seconds and not moment.microsecond
    return moment.strftime("%Y-%m-%d %H:%M:%S" if short else "%Y-%m-%d %H:%M:%S.%f")
