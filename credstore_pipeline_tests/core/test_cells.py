"""SQLite's values go into Arrow and come back with their types."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credstore_pipeline.core.cells import (
    BLOB,
    INTEGER,
    MIXED,
    NULL,
    REAL,
    TEXT,
    InvalidText,
    cell_kinds,
    cells_as_secrets,
    cells_as_text,
    cells_as_values,
    cells_from_values,
    unify,
)

QUICK = settings(max_examples=60, deadline=None)
INTEGERS = st.integers(min_value=-(2**63), max_value=2**63 - 1)
REALS = st.floats(allow_nan=False)
TEXTS = st.binary(max_size=20).map(lambda b: b.decode("utf-8", "surrogateescape")) | st.text(
    st.characters(exclude_categories=["Cs"])
)
VALUES = st.none() | INTEGERS | REALS | TEXTS | st.binary(max_size=20)
COLUMNS = st.one_of(*(st.lists(st.none() | kind) for kind in (INTEGERS, REALS, TEXTS, st.binary())), st.lists(VALUES))


def as_given(value: object) -> tuple[type, object]:
    """The value with its type, text by its bytes, so that -0.0 and 0.0, 1 and 1.0 and '1' differ."""
    if isinstance(value, InvalidText):
        return str, bytes(value)
    if isinstance(value, str):
        return str, value.encode("utf-8", "surrogateescape")
    if isinstance(value, float):
        return float, value.hex()
    return type(value), value


@QUICK
@given(COLUMNS)
def test_values_come_back_with_their_types(values: list[object]) -> None:
    assert list(map(as_given, cells_as_values(cells_from_values(values)))) == list(map(as_given, values))


@QUICK
@given(st.lists(COLUMNS))
def test_chunks_are_joined_without_change(chunks: list[list[object]]) -> None:
    joined = unify([cells_from_values(chunk) for chunk in chunks])
    assert list(map(as_given, cells_as_values(joined))) == [as_given(v) for chunk in chunks for v in chunk]


@QUICK
@given(COLUMNS)
def test_a_slice_is_read_at_its_place(values: list[object]) -> None:
    cells = cells_from_values(values)[1:]
    assert list(map(as_given, cells_as_values(cells))) == list(map(as_given, values[1:]))
    assert len(cells_as_text(cells)[0]) == len(cell_kinds(cells)) == len(cells_as_secrets(cells)) == len(values[1:])


@QUICK
@given(COLUMNS)
def test_secrets_are_the_stored_bytes(values: list[object]) -> None:
    expected = []
    for value in values:
        octets = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        expected.append(repr(octets).encode() if isinstance(octets, int | float) else octets)
    assert cells_as_secrets(cells_from_values(values)) == expected


@QUICK
@given(COLUMNS)
def test_text_is_given_where_the_bytes_are_utf8(values: list[object]) -> None:
    texts, invalid = cells_as_text(cells_from_values(values))
    assert texts.type == pa.string()
    for value, text, bad in zip(values, texts.to_pylist(), invalid, strict=True):
        octets = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        if isinstance(octets, int | float):
            assert (text, bad) == (repr(octets), False)
        elif octets is None:
            assert (text, bad) == (None, False)
        else:
            try:
                assert (text, bad) == (octets.decode(), False)
            except UnicodeDecodeError:
                assert (text, bad) == (None, True)


@pytest.mark.parametrize(
    ("values", "form"),
    [
        ([None, None], pa.null()),
        ([], pa.null()),
        ([1, None], pa.int64()),
        ([1.0, None, math.inf], pa.float64()),
        (["a\0b", None, ""], pa.string()),
        ([b"\xff", None], pa.binary()),
        ([1, 1.0], MIXED),
        (["1", 1], MIXED),
        (["a", b"a"], MIXED),
        (["a\udcff"], MIXED),
    ],
)
def test_a_column_of_one_type_is_native_and_any_other_is_mixed(values: list[object], form: pa.DataType) -> None:
    assert cells_from_values(values).type == form


def test_kinds_are_told_in_both_forms() -> None:
    mixed = cells_from_values([None, 1, 1.5, "a", b"a", "\udcff"])
    assert cell_kinds(mixed).tolist() == [NULL, INTEGER, REAL, TEXT, BLOB, TEXT]
    for value, kind in ((1, INTEGER), (1.5, REAL), ("a", TEXT), (b"a", BLOB)):
        assert cell_kinds(cells_from_values([value, None])).tolist() == [kind, NULL]
    assert cell_kinds(cells_from_values([None])).tolist() == [NULL]
    assert cell_kinds(mixed).dtype == np.int8


def test_a_whole_real_keeps_its_point_as_text() -> None:
    """Arrow alone writes 100.0 as "100", which would be another stored text."""
    assert cells_as_text(cells_from_values([100.0]))[0].to_pylist() == ["100.0"]
    assert cells_as_text(cells_from_values([100.0, "a"]))[0].to_pylist() == ["100.0", "a"]


def test_null_in_a_mixed_column_is_null() -> None:
    mixed = cells_from_values([None, 1, "a"])
    assert mixed.null_count == 1
    assert mixed.to_pylist()[0] is None


def test_chunked_columns_are_read_like_arrays() -> None:
    chunked = pa.chunked_array([cells_from_values([1, "a"]), cells_from_values([None, b"b", 2])])
    assert cells_as_values(chunked) == [1, "a", None, b"b", 2]
    assert cell_kinds(chunked).tolist() == [INTEGER, TEXT, NULL, BLOB, INTEGER]
    assert cells_as_secrets(pa.chunked_array([], pa.string())) == []


@QUICK
@given(COLUMNS)
def test_what_was_read_can_be_put_in_again(values: list[object]) -> None:
    read = cells_as_values(cells_from_values(values))
    again = cells_as_values(cells_from_values(read))
    assert list(map(as_given, again)) == list(map(as_given, values))


def test_a_type_that_sqlite_has_not_is_refused_without_its_value() -> None:
    with pytest.raises(TypeError, match="complex") as error:
        cells_from_values([42j])
    assert "42" not in str(error.value)


def test_text_that_is_not_utf8_hides_its_content() -> None:
    assert "CANARY" not in repr(InvalidText(b"CANARY\xff"))
