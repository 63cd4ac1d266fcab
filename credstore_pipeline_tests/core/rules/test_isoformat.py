import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credstore_pipeline.core.rules.isoformat import EPOCH, Moment, read_iso


def at(*fields: int) -> int:
    return (datetime(*fields) - EPOCH) // timedelta(microseconds=1)


READ = [
    ("2025-03-20", (2025, 3, 20), False),
    ("20250320", (2025, 3, 20), False),
    ("2025-W12", (2025, 3, 17), False),
    ("2025-W12-4", (2025, 3, 20), False),
    ("2025W124", (2025, 3, 20), False),
    ("2020-W53-7", (2021, 1, 3), False),
    ("2025-03-20 10", (2025, 3, 20, 10), False),
    ("2025-03-20T10:11", (2025, 3, 20, 10, 11), False),
    ("2025-03-20é10:11:12", (2025, 3, 20, 10, 11, 12), False),
    ("2025-03-20 101112", (2025, 3, 20, 10, 11, 12), False),
    ("2025-03-20 10:11:12.5", (2025, 3, 20, 10, 11, 12, 500_000), False),
    ("2025-03-20 10:11:12,123456789", (2025, 3, 20, 10, 11, 12, 123_456), False),
    ("2025-03-20 10:11:12Z", (2025, 3, 20, 10, 11, 12), True),
    ("2025-03-20 10:11:12-00:00", (2025, 3, 20, 10, 11, 12), True),
    ("2025-03-20 00:30:00.000001+01:00", (2025, 3, 19, 23, 30, 0, 1), True),
    ("2025-03-20 10:00-0530", (2025, 3, 20, 15, 30), True),
    ("2024-02-29 10:00+02:00:30.5", (2024, 2, 29, 7, 59, 29, 500_000), True),
    # Oddities of 3.11 that a store may hold and the application accepted.
    ("2025-03-20 10.5", (2025, 3, 20, 10, 0, 0, 500_000), False),
    ("2025-03-20 10:11:12:5", (2025, 3, 20, 10, 11, 12, 500_000), False),
    ("2025-03-20 10111250", (2025, 3, 20, 10, 11, 12, 500_000), False),
    ("2025-03-20 10:11 Z", (2025, 3, 20, 10, 11), True),
    ("2025-03-20 10:00+01:99", (2025, 3, 20, 7, 21), True),
    ("2025-03-20 10:00+00:00:00.5", (2025, 3, 20, 10), True),
    ("2025-W12-11", (2025, 3, 17, 11), False),
    ("2025-03-20\x0010:11\x00", (2025, 3, 20, 10, 11), False),
]


@pytest.mark.parametrize(("text", "fields", "had_offset"), READ)
def test_text_means_the_moment_that_the_application_read(text, fields, had_offset):
    assert read_iso(text) == Moment(at(*fields), had_offset)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "never", "1742515200", "2025", "2025-03", "2025-3-20", " 2025-03-20", "2025-03-20 ", "2025-03-20T"),
        *("2025-02-30", "2025-13-01", "2023-02-29", "0000-01-01", "0000-00-00 00:00:00", "2025-W53", "2025-W00-1"),
        *("2025-03-20 24:00", "2025-03-20 24:00:00", "2025-03-20 10:60", "2025-03-20 10:11:60", "2025-03-20 1:00"),
        *(
            "2025-03-20 10:11:",
            "2025-03-20 10:1112",
            "2025-03-20 10:11:12.",
            "2025-03-20 10:11:12x",
            "2025-03-20 1011125",
        ),
        *("2025-03-20 10:00+24:00", "2025-03-20 10:00+0", "2025-03-20 10:00é+01:00", "2025-03-20 10:00Zulu"),
        *("2025-03-20 10:11 ", "2025-03-20  10:11", "2025-03-20 10:11:12\n", "2025-03-20 10:11:12Z\n"),
        *("٢٠٢٥-03-20", "2025-03-20 1٠:00", "0001-01-01 00:00+00:01", "9999-12-31 23:59:59-00:01"),
    ],
)
def test_text_that_the_application_could_not_read_is_no_moment(text):
    assert read_iso(text) is None


digits = st.text("0123456789", min_size=0, max_size=9)
two = st.one_of(st.integers(0, 62).map("{:02d}".format), st.text("0123456789", min_size=1, max_size=3))
years = st.one_of(st.integers(0, 9999).map("{:04d}".format), st.sampled_from(["0000", "0001", "2024", "9999"]))
dates = st.one_of(
    st.tuples(years, st.sampled_from(["-", ""]), two, st.sampled_from(["-", ""]), two).map("".join),
    st.tuples(years, st.sampled_from(["-W", "W"]), two, st.sampled_from(["-", ""]), digits).map("".join),
    st.dates().map(str),
)
clocks = st.builds(
    lambda mark, fields, point, fraction, rest: mark.join(fields) + point + fraction + rest,
    st.sampled_from([":", ""]),
    st.lists(two, min_size=1, max_size=3),
    st.sampled_from(["", ".", ",", ":"]),
    digits,
    st.one_of(st.just(""), st.text("0:.,Zx \0é", max_size=3)),
)
offsets = st.one_of(
    st.just(""), st.sampled_from(["Z", "z", "Z\0x"]), st.tuples(st.sampled_from("+-"), clocks).map("".join)
)
times = st.tuples(dates, st.one_of(st.sampled_from("T "), st.characters(codec="utf-8")), clocks, offsets).map("".join)


@st.composite
def altered(draw):
    text = draw(times)
    place = draw(st.integers(0, len(text)))
    return text[:place] + draw(st.text("0123456789-:+.,ZWT \0é", max_size=2)) + text[place + draw(st.integers(0, 2)) :]


iso_like = st.one_of(
    dates,
    times,
    altered(),
    st.datetimes().map(lambda moment: moment.isoformat(" ")),
    st.datetimes(timezones=st.timezones() | st.just(UTC)).map(datetime.isoformat),
    st.text(max_size=30),
)


def read_by_python(text: str) -> Moment | None:
    try:
        found = datetime.fromisoformat(text)
        utc = found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found
    except (ValueError, OverflowError):
        return None
    return Moment((utc - EPOCH) // timedelta(microseconds=1), found.tzinfo is not None)


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="3.11's reading is the one that counts")
@settings(max_examples=400, deadline=None)
@given(iso_like)
def test_reading_is_that_of_python_3_11(text):
    assert read_iso(text) == read_by_python(text)
