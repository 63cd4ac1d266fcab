"""A column of SQLite cells, exactly: SQLite types each value, not the column.

A column is one Arrow array in one of two forms. *Homogeneous*: all values that are not NULL have one
storage class, and the array is int64, float64, string (valid UTF-8, NULs included), binary (BLOBs) or null
(all NULL). *Mixed*: several classes, or text that is not UTF-8; then it is `MIXED`, one struct a cell, whose
`data` holds the text of a number, the exact bytes of a text, or the BLOB. NULL is null in both forms
(docs/legacy-formats.md, "Storage facts").
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

NULL, INTEGER, REAL, TEXT, BLOB = 0, 1, 2, 3, 4
"""Kinds of a cell, in the order of SQLite's storage classes."""

MIXED = pa.struct([pa.field("kind", pa.int8()), pa.field("data", pa.binary())])

_KIND: dict[type, int] = {int: INTEGER, float: REAL, str: TEXT, bytes: BLOB}
_NATIVE = {int: pa.int64(), float: pa.float64(), str: pa.string(), bytes: pa.binary()}
_KIND_OF_NATIVE = {native: _KIND[python] for python, native in _NATIVE.items()}


class InvalidText(bytes):
    """The stored bytes of a text that is not UTF-8; tells it from a BLOB and hides its content."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Show the length alone."""
        return f"InvalidText({len(self)} bytes)"


_KIND[InvalidText] = TEXT


def cells_from_values(values: Sequence[object]) -> pa.Array:
    """Hold the values as sqlite3 gave them, each with its own type.

    Args:
        values: int, float, str, bytes or None; text that is not UTF-8 read with `surrogateescape`, or as
            `InvalidText`, which is how `cells_as_values` gives it back.

    Raises:
        TypeError: If a value has any other type.
    """
    types = set(map(type, values)) - {type(None)}
    if not types:
        return pa.nulls(len(values))
    if len(types) == 1 and (native := _NATIVE.get(types.pop())) is not None:
        try:
            return pa.array(values, native)
        except UnicodeEncodeError:  # escaped bytes: a text that is not UTF-8
            pass
    return _mixed_from_values(values)


def unify(chunks: Sequence[pa.Array]) -> pa.ChunkedArray:
    """Make one column of its chunks, mixed if their forms differ; nothing is copied if they are alike."""
    forms = {chunk.type for chunk in chunks if chunk.type != pa.null()}
    if len(forms) > 1:
        return pa.chunked_array([_as_mixed(chunk) for chunk in chunks], MIXED)
    form = forms.pop() if forms else pa.null()
    return pa.chunked_array([c if c.type == form else pa.nulls(len(c), form) for c in chunks], form)


def cell_kinds(cells: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int8]:
    """Give each cell's kind: 0 NULL, 1 integer, 2 real, 3 text, 4 BLOB."""
    cells = _one_array(cells)
    if cells.type == MIXED:
        kinds: npt.NDArray[np.int8] = cells.flatten()[0].fill_null(NULL).to_numpy(zero_copy_only=False)
        return kinds
    kind = NULL if cells.type == pa.null() else _KIND_OF_NATIVE[cells.type]
    return np.where(_nulls(cells), NULL, kind).astype(np.int8)


def cells_as_text(cells: pa.Array | pa.ChunkedArray) -> tuple[pa.StringArray, npt.NDArray[np.bool_]]:
    """Read every cell as text, and mark those that are none.

    Returns:
        The texts: numbers as Python writes them, BLOBs as UTF-8, NULL as null; and a mask of the
        cells whose bytes are not UTF-8, which are null in the texts.
    """
    cells = _one_array(cells)
    valid = np.zeros(len(cells), dtype=np.bool_)
    if cells.type == pa.null() or cells.type in (pa.string(), pa.int64()):
        return cells.cast(pa.string()), valid
    if cells.type == pa.float64():
        return _real_texts(cells), valid
    blobs = cells if cells.type == pa.binary() else cells.flatten()[1]
    try:
        return blobs.cast(pa.string()), valid
    except pa.ArrowInvalid:
        texts = [None if blob is None else _decoded(blob) for blob in blobs.to_pylist()]
    texts_array = pa.array([text if isinstance(text, str) else None for text in texts], pa.string())
    return texts_array, np.array([isinstance(text, InvalidText) for text in texts], dtype=np.bool_)


def cells_as_values(cells: pa.Array | pa.ChunkedArray) -> list[object]:
    """Give back Python values: int, float, str, bytes, None, and `InvalidText` for text that is not UTF-8."""
    cells = _one_array(cells)
    if cells.type != MIXED:
        values: list[object] = cells.to_pylist()
        return values
    read: dict[int, Callable[[bytes], object]]
    read = {INTEGER: int, REAL: float, TEXT: _decoded, BLOB: bytes, NULL: lambda _: None}
    kinds, data = cells.flatten()
    return [read[kind or NULL](datum) for kind, datum in zip(kinds.to_pylist(), data.to_pylist(), strict=True)]


def cells_as_secrets(cells: pa.Array | pa.ChunkedArray) -> list[bytes | None]:
    """Give each cell's bytes: a text's as stored, a BLOB's, the ASCII of a number; None for NULL."""
    cells = _one_array(cells)
    if cells.type == MIXED:
        data = cells.flatten()[1]
    elif cells.type == pa.float64():
        data = _real_texts(cells).cast(pa.binary())
    else:
        data = cells.cast(pa.string()).cast(pa.binary()) if cells.type == pa.int64() else cells.cast(pa.binary())
    secrets: list[bytes | None] = data.to_pylist()
    return secrets


def _one_array(cells: pa.Array | pa.ChunkedArray) -> pa.Array:
    return cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells


def _nulls(cells: pa.Array) -> npt.NDArray[np.bool_]:
    nulls: npt.NDArray[np.bool_] = cells.is_null().to_numpy(zero_copy_only=False)
    return nulls


def _real_texts(cells: pa.Array) -> pa.StringArray:
    # Arrow writes 100.0 as "100", which is another value's text: Python's own writing keeps the class visible.
    return pa.array([None if real is None else repr(real) for real in cells.to_pylist()], pa.string())


def _decoded(data: bytes) -> str | InvalidText:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return InvalidText(data)


def _data(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    return repr(value).encode()


def _mixed_from_values(values: Sequence[object]) -> pa.Array:
    strange = {type(value).__name__ for value in values if value is not None and type(value) not in _KIND}
    if strange:
        raise TypeError(f"no SQLite storage class for {', '.join(sorted(strange))}")
    kinds = pa.array([None if value is None else _KIND[type(value)] for value in values], pa.int8())
    data = pa.array([None if value is None else _data(value) for value in values], pa.binary())
    return _struct(kinds, data)


def _as_mixed(cells: pa.Array) -> pa.Array:
    if cells.type == MIXED:
        return cells
    nulls = _nulls(cells)
    kinds = pa.array(cell_kinds(cells), pa.int8(), mask=nulls)
    return _struct(kinds, pa.array(cells_as_secrets(cells), pa.binary()))


def _struct(kinds: pa.Array, data: pa.Array) -> pa.Array:
    return pa.StructArray.from_arrays([kinds, data], fields=list(MIXED), mask=kinds.is_null())
