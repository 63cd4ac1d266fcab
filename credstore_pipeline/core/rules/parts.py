"""Splits a column of cells by what each value was in SQLite, so that each part is read in bulk."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from credstore_pipeline.core.cells import INTEGER, NULL, REAL, cell_kinds, cells_as_text

Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]


def _nowhere() -> Positions:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Parts:
    """One column. Every position is in exactly one part; values stand in the order of their positions.

    Attributes:
        count: Rows of the column.
        nulls: Positions of NULL.
        integers: Positions and values of integers.
        reals: Positions and values of reals.
        texts: Positions and values of texts, and of BLOBs that hold UTF-8.
        unreadable: Positions of texts and BLOBs whose bytes are not UTF-8.
    """

    count: int
    nulls: Positions
    integers: tuple[Positions, Ints] = field(default_factory=lambda: (_nowhere(), _nowhere()))
    reals: tuple[Positions, Reals] = field(default_factory=lambda: (_nowhere(), np.empty(0)))
    texts: tuple[Positions, pa.StringArray] = field(default_factory=lambda: (_nowhere(), pa.array([], pa.string())))
    unreadable: Positions = field(default_factory=_nowhere)


def split(cells: pa.Array | pa.ChunkedArray) -> Parts:
    """Sort the column's values by kind.

    Args:
        cells: A column as extracted (`core/cells.py`).
    """
    flat = cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells
    valid = as_mask(flat.is_valid())
    there, nulls = np.flatnonzero(valid), np.flatnonzero(~valid)
    if flat.type == pa.int64():
        return Parts(len(flat), nulls, integers=(there, flat.drop_null().to_numpy()))
    if flat.type == pa.float64():
        return Parts(len(flat), nulls, reals=(there, flat.drop_null().to_numpy()))
    if flat.type == pa.string():
        return Parts(len(flat), nulls, texts=(there, flat.drop_null() if len(nulls) else flat))
    return _split_mixed(flat)


def as_mask(booleans: pa.Array | pa.ChunkedArray) -> Mask:
    """A NumPy mask of an Arrow column of booleans without nulls."""
    mask: Mask = booleans.to_numpy(zero_copy_only=False)
    return mask


def _split_mixed(cells: pa.Array) -> Parts:
    kinds = cell_kinds(cells)
    texts, invalid = cells_as_text(cells)
    integers, reals = np.flatnonzero(kinds == INTEGER), np.flatnonzero(kinds == REAL)
    readable = np.flatnonzero(~invalid & (kinds != NULL) & (kinds != INTEGER) & (kinds != REAL))
    return Parts(
        len(cells),
        nulls=np.flatnonzero(kinds == NULL),
        integers=(integers, texts.take(pa.array(integers)).cast(pa.int64()).to_numpy()),
        reals=(reals, np.array([float(text) for text in texts.take(pa.array(reals)).to_pylist()])),
        texts=(readable, texts.take(pa.array(readable))),
        unreadable=np.flatnonzero(invalid),
    )
