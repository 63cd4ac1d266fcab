"""Fingerprints: keyed digests of meaning, 8 bytes a column, bound to table, row and column.

Equal rows have equal fingerprints under one key; what the digest covers is written so that no two
different (table, row id, column, type, value) give the same bytes. A password's is made apart, in
`secret_fingerprint`, because it is made in workers, where the password is opened.
"""

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from credstore_pipeline.core.secrets.fingerprint import FINGERPRINT_BYTES, SecretFingerprints, secret_fingerprint

__all__ = ["FINGERPRINT_BYTES", "SecretFingerprints", "row_fingerprints", "secret_fingerprint"]

_KEY_BYTES = 32
_SIPHASH_KEY_BYTES = 16
_SLICE_ROWS = 65_536
_NAME = re.compile(r"[a-z_]{1,63}")


def row_fingerprints(key: bytes, table: str, ids: pa.Array, columns: Mapping[str, pa.Array]) -> npt.NDArray[np.uint8]:
    """Return the fingerprints of a table's rows, packed in the order of `columns`.

    Args:
        key: Subkey for this purpose alone, 32 bytes; the MAC takes the first 16.
        table: The table's name.
        ids: Row ids as text, none null.
        columns: Column name -> values: text, integers, floats, booleans, naive timestamps or all null.
            Integers of any width, and timestamps of any unit down to microseconds, fingerprint alike.

    Returns:
        uint8 of shape (rows, 8 * columns). The MAC is SipHash-2-4, computed in bulk by
        pandas.util.hash_array, which spreads its result by a fixed bijection.

    Raises:
        ValueError: If an id is null, lengths differ, or a name is none.
        TypeError: If a column's type is none of the above.
    """
    if len(key) != _KEY_BYTES:
        raise ValueError(f"a fingerprint key has {_KEY_BYTES} bytes")
    ids = _one_array(ids).cast(pa.large_binary())
    if ids.null_count:
        raise ValueError(f"{ids.null_count} rows without an id cannot be fingerprinted")
    packed = np.empty((len(ids), FINGERPRINT_BYTES * len(columns)), dtype=np.uint8)
    siphash_key = key[:_SIPHASH_KEY_BYTES].decode("latin-1")
    for position, (name, values) in enumerate(columns.items()):
        if len(values) != len(ids):
            raise ValueError(f"{table}.{name}: {len(values)} values for {len(ids)} ids")
        head, (tag, texts) = _head(table, name), _tag_and_text(_one_array(values), f"{table}.{name}")
        at = slice(position * FINGERPRINT_BYTES, (position + 1) * FINGERPRINT_BYTES)
        # Messages are Python objects while they are hashed: a slice at a time bounds the memory.
        for start in range(0, len(ids), _SLICE_ROWS):
            rows = slice(start, start + _SLICE_ROWS)
            messages = _messages(head, tag, ids[rows], texts[rows]).to_numpy(zero_copy_only=False)
            macs = pd.util.hash_array(messages, encoding="latin-1", hash_key=siphash_key, categorize=False)
            packed[rows, at] = macs.astype("<u8").view(np.uint8).reshape(-1, FINGERPRINT_BYTES)
    return packed


def _head(table: str, name: str) -> bytes:
    if not (_NAME.fullmatch(table) and _NAME.fullmatch(name)):
        raise ValueError("a table or column name that is none")
    return f"{table}.{name} ".encode()


def _messages(head: bytes, tag: bytes, ids: pa.Array, texts: pa.Array) -> pa.Array:
    """Join table, column, length of id, id, type tag and value; NULL has a tag of its own and no value.

    Only the id and the value are free, the id's length stands before it, and the value reaches to the
    end: no two different rows, types or values give one message.
    """
    lengths = pc.binary_length(ids).cast(pa.large_string()).cast(pa.large_binary())
    none, colon = pa.scalar(b"", pa.large_binary()), pa.scalar(b":", pa.large_binary())
    tagged = pc.binary_join_element_wise(pa.scalar(tag, pa.large_binary()), texts, none)
    tagged = pc.fill_null(tagged, pa.scalar(b"n", pa.large_binary()))
    return pc.binary_join_element_wise(pa.scalar(head, pa.large_binary()), lengths, colon, ids, tagged, none)


def _tag_and_text(values: pa.Array, where: str) -> tuple[bytes, pa.Array]:
    """Return the type's tag and the values as canonical text, null where NULL."""
    type_ = values.type
    if pa.types.is_null(type_):
        return b"n", values.cast(pa.large_binary())
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return b"s", values.cast(pa.large_binary())
    if pa.types.is_boolean(type_):
        return b"b", _decimal(values.cast(pa.int64()))
    if pa.types.is_integer(type_):
        return b"i", _decimal(values)
    if pa.types.is_floating(type_):
        return b"f", _decimal(_float_bits(values))
    if pa.types.is_timestamp(type_) and type_.tz is None:
        return b"t", _decimal(values.cast(pa.timestamp("us")).cast(pa.int64()))
    raise TypeError(f"{where}: fingerprints of {type_} are not defined")


def _float_bits(values: pa.Array) -> pa.Array:
    """Return the floats' bits as integers, -0.0 as 0.0 and one NaN for all: no text form can drift."""
    numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False) + 0.0
    numbers[np.isnan(numbers)] = np.nan
    return pa.array(numbers.view(np.int64), mask=values.is_null().to_numpy(zero_copy_only=False))


def _decimal(values: pa.Array) -> pa.Array:
    return values.cast(pa.large_string()).cast(pa.large_binary())


def _one_array(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
