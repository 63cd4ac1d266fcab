import math
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credstore_pipeline.core.cells import cells_from_values
from credstore_pipeline.core.rules.canonical_times import read_canonical, read_canonical_with_offset
from credstore_pipeline.core.rules.isoformat import EPOCH, read_iso
from credstore_pipeline.core.rules.timestamps import first_repairs, in_micros, read_times
from credstore_pipeline_tests.core.rules.test_isoformat import at, iso_like

NEARLY_CANONICAL = st.builds(
    "{:04d}-{:02d}-{:02d}{}{:02d}:{:02d}:{:02d}{}{}".format,
    st.one_of(st.integers(0, 9999), st.sampled_from([0, 1, 1900, 2000, 2024, 9999])),
    st.integers(0, 13),
    st.integers(0, 32),
    st.sampled_from([" ", "T", "x", "é"]),
    st.integers(0, 25),
    st.integers(0, 61),
    st.integers(0, 61),
    st.one_of(st.just(""), st.text("0123456789", max_size=7).map(".{}".format), st.just(",5"), st.just(":000001")),
    st.sampled_from(["", "Z", "+02:00", "-05:30", "+23:59", "-24:00", "+99:99", "+01:60", "+0100", "Z ", " Z"]),
)


def micros_of(values):
    times = read_times(cells_from_values(values))
    return [int(micros) if usable else None for micros, usable in zip(times.micros, times.usable, strict=True)]


def rules_of(values):
    return {str(rule): rows.tolist() for rule, rows in read_times(cells_from_values(values)).noted}


@settings(max_examples=120, deadline=None)
@given(st.lists(st.one_of(NEARLY_CANONICAL, iso_like), max_size=40))
def test_a_column_reads_each_text_as_it_is_read_alone(texts):
    times = read_times(cells_from_values(texts))
    with_offset = {row for _, rows in times.noted for row in rows.tolist()}
    for row, text in enumerate(texts):
        alone = read_iso(text)
        assert bool(times.usable[row]) == (alone is not None)
        assert times.micros[row] == (alone.micros if alone else 0)
        assert (row in with_offset) == bool(alone and alone.had_offset)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.datetimes(), min_size=1, max_size=40), st.sampled_from([" ", "T"]))
def test_the_applications_own_form_is_read_in_bulk(moments, mark):
    texts = cells_from_values([moment.isoformat(mark) for moment in moments])
    micros, read = read_canonical(texts)
    assert read.all()
    assert micros.tolist() == [(moment - EPOCH) // timedelta(microseconds=1) for moment in moments]


def test_bulk_reading_leaves_days_and_times_that_do_not_exist():
    texts = ["2025-02-30 00:00:00", "2025-01-01 24:00:00", "1900-02-29 00:00:00", "0000-01-01 00:00:00.000000"]
    assert not read_canonical(cells_from_values(texts))[1].any()


@pytest.mark.parametrize("wrong", "/:x 0-")
def test_bulk_reading_looks_at_every_place(wrong):
    sound = "2025-03-20 10:11:12.123456"
    texts = [sound[:place] + wrong + sound[place + 1 :] for place in range(len(sound))]
    read = read_canonical(cells_from_values(texts))[1].tolist()
    alone = [read_iso(text) is not None for text in texts]
    assert not any(was_read and not could for was_read, could in zip(read, alone, strict=True))
    assert alone.count(False) >= 20 or wrong == "0"


def test_bulk_reading_keeps_to_the_years_1_to_9999():
    texts = ["0001-01-01 00:00:00+00:01", "9999-12-31 23:59:59-00:01", "0001-01-01 00:00:00-00:01"]
    assert read_canonical_with_offset(cells_from_values(texts))[1].tolist() == [False, False, True]


def test_bulk_reading_takes_any_slice_of_a_column():
    column = cells_from_values(["2025-03-20", "2025-03-20 10:00:00", "2025-03-21 10:00:00"]).slice(1)
    assert read_canonical(column)[0].tolist() == [at(2025, 3, 20, 10), at(2025, 3, 21, 10)]


def test_bulk_reading_converts_offsets_and_refuses_a_day_or_more():
    texts = [
        "2025-03-20 10:00:00+02:00",
        "2025-03-20 10:00:00-23:59",
        "2025-03-20 10:00:00+24:00",
        "2025-03-20 10:00:00Z",
    ]
    micros, read = read_canonical_with_offset(cells_from_values(texts))
    assert read.tolist() == [True, True, False, True]
    assert micros[[0, 1, 3]].tolist() == [at(2025, 3, 20, 8), at(2025, 3, 21, 9, 59), at(2025, 3, 20, 10)]


@pytest.mark.parametrize(
    ("number", "fields", "rule"),
    [
        (0, (1970, 1, 1), "timestamp_epoch_seconds"),
        (1_742_515_200, (2025, 3, 21), "timestamp_epoch_seconds"),
        (1_742_515_200.25, (2025, 3, 21, 0, 0, 0, 250_000), "timestamp_epoch_seconds"),
        (99_999_999_999, (5138, 11, 16, 9, 46, 39), "timestamp_epoch_seconds"),
        (100_000_000_000, (1973, 3, 3, 9, 46, 40), "timestamp_epoch_milliseconds"),
        (1_742_515_200_125, (2025, 3, 21, 0, 0, 0, 125_000), "timestamp_epoch_milliseconds"),
        (1_742_515_200_125.5, (2025, 3, 21, 0, 0, 0, 125_500), "timestamp_epoch_milliseconds"),
        (99_999_999_999_999, (5138, 11, 16, 9, 46, 39, 999_000), "timestamp_epoch_milliseconds"),
        (100_000_000_000_000, (1973, 3, 3, 9, 46, 40), "timestamp_epoch_microseconds"),
        (1_742_515_200_125_001, (2025, 3, 21, 0, 0, 0, 125_001), "timestamp_epoch_microseconds"),
        (253_402_300_799_999_999, (9999, 12, 31, 23, 59, 59, 999_999), "timestamp_epoch_microseconds"),
    ],
)
def test_an_epoch_is_read_by_its_magnitude(number, fields, rule):
    assert micros_of([number]) == [at(*fields)]
    assert rules_of([number]) == {rule: [0]}


@pytest.mark.parametrize("number", [-1, -0.5, 253_402_300_800_000_000, 2**63 - 1, 1e300, math.inf, -math.inf])
def test_a_number_that_is_no_epoch_is_unusable(number):
    assert micros_of([number]) == [None]
    assert read_times(cells_from_values([number])).unusable.tolist() == [0]


@settings(max_examples=120, deadline=None)
@given(st.one_of(st.floats(0, 99_999_999_999), st.integers(0, 99_999_999_999)))
def test_epoch_seconds_mean_what_the_clock_means(seconds):
    expected = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    assert micros_of([seconds]) == [(expected - EPOCH) // timedelta(microseconds=1)]


def test_a_mixed_column_reads_each_value_by_its_kind():
    values = ["2025-03-20 10:00:00", 1_742_515_200, 1_742_515_200.5, b"2025-03-20", b"\xff", "caf\udce9", None, "never"]
    assert micros_of(values) == [
        at(2025, 3, 20, 10),
        at(2025, 3, 21),
        at(2025, 3, 21, 0, 0, 0, 500_000),
        at(2025, 3, 20),
        *[None] * 4,
    ]
    times = read_times(cells_from_values(values))
    assert times.missing.tolist() == [False] * 6 + [True, False]
    assert times.unusable.tolist() == [4, 5, 7]


def test_a_column_of_nulls_is_missing_and_not_unusable():
    times = read_times(cells_from_values([None, None]))
    assert times.missing.all() and not times.usable.any() and not len(times.unusable)


def test_an_aware_moment_is_taken_to_utc_and_a_naive_one_is_utc():
    aware = datetime(2025, 6, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    assert in_micros(aware) == in_micros(datetime(2025, 6, 1, 12)) == at(2025, 6, 1, 12)


def test_first_repairs_are_those_of_the_table_and_of_created_and_updated():
    repaired = {
        ("tags", "t1", "created_at"): "2025-03-20 10:00:00.000000",
        ("tags", "*", "updated_at"): "2025-03-21 10:00:00.000000",
        ("tags", "t2", "created_at"): None,
        ("tags", "t1", "name"): None,
        ("credentials", "t1", "created_at"): "2025-03-22 10:00:00.000000",
    }
    assert first_repairs(repaired, "tags") == {
        "created_at": {"t1": at(2025, 3, 20, 10)},
        "updated_at": {"*": at(2025, 3, 21, 10)},
    }


def test_an_empty_column_is_read():
    assert read_times(cells_from_values([])).micros.dtype == np.int64
