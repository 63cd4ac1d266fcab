"""Arrow columns as the text that COPY takes and gives, where the CSV of both differs."""

import binascii
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MARK = rb"\x"
_MARK_BYTES = np.frombuffer(MARK, dtype=np.uint8)
Numbers: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.int64]]"


def to_text(table: pa.Table) -> pa.Table:
    """Change the columns that a CSV writer would write otherwise than PostgreSQL reads them: bytes, zoned times."""
    for index, field in enumerate(table.schema):
        kind = field.type
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            column = pa.chunked_array([_hexed(chunk) for chunk in table.column(index).chunks], pa.string())
        elif pa.types.is_timestamp(kind) and kind.tz is not None:
            # The writer would look the zone up in the system's list of zones, which slim images lack.
            column = pc.binary_join_element_wise(
                table.column(index).cast(pa.timestamp("us")).cast(pa.string()), pa.scalar("+00"), pa.scalar("")
            )
        elif pa.types.is_dictionary(kind):
            column = table.column(index).cast(kind.value_type)
        else:
            continue
        table = table.set_column(index, field.name, column)
    return table


def readable_types(schema: pa.Schema) -> dict[str, pa.DataType]:
    """Tell the CSV reader each column's type; bytes come as text."""
    return {field.name: pa.string() if pa.types.is_binary(field.type) else field.type for field in schema}


def to_arrow(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Bring a table that was read as `readable_types` says to its schema."""
    for index, field in enumerate(schema):
        if pa.types.is_binary(field.type):
            column = pa.chunked_array([_unhexed(chunk) for chunk in table.column(index).chunks], pa.binary())
            table = table.set_column(index, field, column)
    return table.cast(schema)


def _hexed(array: pa.Array) -> pa.StringArray:
    r"""Write each value as `\x` and hexadecimal digits, without a Python object a value."""
    lengths, data = _packed(array, b"")
    width = lengths * 2 + len(MARK)
    digits = np.frombuffer(binascii.hexlify(data.tobytes()), dtype=np.uint8)
    text = np.empty(int(width.sum()), dtype=np.uint8)
    if _is_even(width):
        lines = text.reshape(len(width), -1)
        lines[:, : len(MARK)] = _MARK_BYTES
        lines[:, len(MARK) :] = digits.reshape(len(width), -1)
    else:
        marks = _mark_places(width)
        text[marks] = np.tile(_MARK_BYTES, len(width))
        text[~marks] = digits
    return _assembled(pa.string(), array, width, text)


def _unhexed(array: pa.StringArray) -> pa.BinaryArray:
    r"""Read values of `\x` and hexadecimal digits."""
    width, text = _packed(array, MARK)
    digits = text.reshape(len(width), -1)[:, len(MARK) :] if _is_even(width) else text[~_mark_places(width)]
    return _assembled(pa.binary(), array, (width - len(MARK)) // 2, binascii.unhexlify(digits.tobytes()))


def _is_even(width: Numbers) -> bool:
    """Whether all values are of one width, as fingerprints are: then they form a rectangle, many times faster."""
    return len(width) > 0 and bool((width == width[0]).all())


def _mark_places(width: Numbers) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Tell which bytes are a value's first two, in values of these widths one after the other."""
    places = np.zeros(int(width.sum()), dtype=bool)
    starts = np.cumsum(width) - width
    places[starts] = places[starts + 1] = True
    return places


def _packed(array: pa.Array, for_null: bytes) -> "tuple[Numbers, np.ndarray[tuple[int], np.dtype[np.uint8]]]":
    """Give the length of each value in bytes, and all bytes in a row."""
    filled = pc.fill_null(array.cast(pa.large_binary()), for_null)
    offsets = np.frombuffer(filled.buffers()[1], dtype=np.int64)[filled.offset : filled.offset + len(filled) + 1]
    data = np.frombuffer(filled.buffers()[2] or b"", dtype=np.uint8)
    return np.diff(offsets), data[offsets[0] : offsets[-1]] if len(filled) else data[:0]


def _assembled(kind: pa.DataType, like: pa.Array, lengths: Numbers, data: object) -> pa.Array:
    """Build an array of values of these lengths, NULL where `like` is."""
    offsets = np.zeros(len(like) + 1, dtype=np.int32)
    np.cumsum(lengths, out=offsets[1:])
    whole = pa.Array.from_buffers(kind, len(like), [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    return pc.if_else(like.is_valid(), whole, pa.scalar(None, kind))
