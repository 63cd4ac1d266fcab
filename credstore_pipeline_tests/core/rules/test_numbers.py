import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credstore_pipeline.core.cells import cells_from_values
from credstore_pipeline.core.rules.numbers import (
    INT4_MAX,
    INT4_MIN,
    priorities,
    read_counters,
    read_priorities,
    read_switches,
)

any_cell = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.from_regex(r"[+-]?[0-9]{1,25}", fullmatch=True),
    st.from_regex(r"[+-]?[0-9]{0,4}\.?[0-9]{0,4}([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.binary(max_size=6),
)


@pytest.mark.parametrize(
    ("value", "counter", "rule"),
    [
        (0, 0, None),
        (7, 7, None),
        (-3, -3, None),
        (INT4_MAX, INT4_MAX, None),
        (INT4_MIN, INT4_MIN, None),
        (None, 0, "counter_null_to_zero"),
        (INT4_MAX + 1, INT4_MAX, "counter_over_int4_to_max"),
        (2**62, INT4_MAX, "counter_over_int4_to_max"),
        (INT4_MIN - 1, INT4_MIN, "counter_under_int4_to_min"),
        (5.0, 5, "counter_from_real"),
        (-0.0, 0, "counter_from_real"),
        (1e300, INT4_MAX, "counter_over_int4_to_max"),
        (-1e300, INT4_MIN, "counter_under_int4_to_min"),
        (2.5, 0, "counter_unusable_to_zero"),
        (math.inf, 0, "counter_unusable_to_zero"),
        (-math.inf, 0, "counter_unusable_to_zero"),
        ("12", 12, "counter_from_text"),
        ("-007", -7, "counter_from_text"),
        ("+0", 0, "counter_from_text"),
        ("9" * 5000, INT4_MAX, "counter_over_int4_to_max"),
        ("-99999999999", INT4_MIN, "counter_under_int4_to_min"),
        (b"7", 7, "counter_from_text"),
        (b"\xff", 0, "counter_unusable_to_zero"),
        ("few\udce9", 0, "counter_unusable_to_zero"),
        *(
            (text, 0, "counter_unusable_to_zero")
            for text in ("", " 3 ", "3\n", "2.0", "1_000", "0x1f", "many", "٣", "-")
        ),
    ],
)
def test_counter_becomes(value, counter, rule):
    counters, noted = read_counters(cells_from_values([value]))
    assert counters.tolist() == [counter]
    assert [(str(code), rows.tolist()) for code, rows in noted] == ([(rule, [0])] if rule else [])


@settings(max_examples=120, deadline=None)
@given(st.lists(any_cell, max_size=8))
def test_counters_fit_int4_and_each_row_has_at_most_one_repair(values):
    counters, noted = read_counters(cells_from_values(values))
    assert all(INT4_MIN <= counter <= INT4_MAX for counter in counters.tolist())
    repaired = [row for _, rows in noted for row in rows.tolist()]
    assert len(repaired) == len(set(repaired))
    untouched = set(range(len(values))) - set(repaired)
    assert all(type(values[row]) is int and values[row] == counters[row] for row in untouched)


@pytest.mark.parametrize(
    ("value", "priority", "rule"),
    [
        (100.0, 100.0, None),
        (50, 50.0, None),
        (-3.5, -3.5, None),
        (math.inf, math.inf, None),
        (-math.inf, -math.inf, None),
        (None, 0.0, "priority_null_to_zero"),
        ("12", 12.0, "priority_from_text"),
        ("-1.5e2", -150.0, "priority_from_text"),
        (".5", 0.5, "priority_from_text"),
        (b"50.5", 50.5, "priority_from_text"),
    ],
)
def test_priority_becomes(value, priority, rule):
    values, usable, noted = read_priorities(cells_from_values([value]))
    assert (values.tolist(), usable.tolist()) == ([priority], [True])
    assert [(str(code), rows.tolist()) for code, rows in noted] == ([(rule, [0])] if rule else [])


@pytest.mark.parametrize(
    "value",
    ["high", "", " 1", "1\n", "1e999", "Infinity", "inf", "nan", "1_0", "0x10", "٣", ".", "1e", b"\x01", b"\xff"],
)
def test_priority_that_is_no_number_is_not_guessed(value):
    values, usable, noted = read_priorities(cells_from_values([value, 1.0]))
    assert (values.tolist(), usable.tolist(), noted) == ([0.0, 1.0], [False, True], ())


@settings(max_examples=120, deadline=None)
@given(st.lists(any_cell, max_size=8))
def test_priorities_are_the_numbers_that_the_cells_are(values):
    for value, priority in zip(values, priorities(cells_from_values(values)).tolist(), strict=True):
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        if value is None:
            assert priority == 0.0
        elif isinstance(text, str):
            number = (
                float(text) if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text) else math.inf
            )
            assert priority == number if math.isfinite(number) else math.isnan(priority)
        else:
            assert priority == float(value)


@pytest.mark.parametrize(
    ("value", "switch", "rule"),
    [
        (0, False, None),
        (1, True, None),
        (None, False, "use_keys_null_to_false"),
        (2, True, "use_keys_read_as_true"),
        (-1, True, "use_keys_read_as_true"),
        (0.5, True, "use_keys_read_as_true"),
        (0.0, False, "use_keys_read_as_false"),
        ("true", True, "use_keys_read_as_true"),
        ("false", True, "use_keys_read_as_true"),
        ("0", True, "use_keys_read_as_true"),
        ("", False, "use_keys_read_as_false"),
        (b"", False, "use_keys_read_as_false"),
        (b"\xff", True, "use_keys_read_as_true"),
    ],
)
def test_use_keys_is_read_as_the_application_reads_it(value, switch, rule):
    for values in ([value], [value, 1, "x"]):
        switches, noted = read_switches(cells_from_values(values))
        assert switches[0] == switch
        assert [str(code) for code, rows in noted if 0 in rows] == ([rule] if rule else [])


def test_empty_columns_are_read():
    nothing = cells_from_values([])
    assert len(read_counters(nothing)[0]) == len(read_priorities(nothing)[0]) == len(read_switches(nothing)[0]) == 0
