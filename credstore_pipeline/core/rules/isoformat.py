"""Reads a text as Python 3.11's `datetime.fromisoformat` does, on any Python.

The application ran on 3.11 and read its times with that function, so what 3.11 accepts is what the store's times
mean (docs/legacy-formats.md, "Storage facts"). Later versions accept more (24:00) and less, hence a grammar of
our own. It follows 3.11's oddities too: one stray character before an offset, a fraction after the hour, any
text after a NUL.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta

EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_DAY_US = 86_400_000_000

_DATE = re.compile(
    r"""
      (?P<year>[0-9]{4}) - (?P<month>[0-9]{2}) - (?P<day>[0-9]{2})
    | (?P<year_basic>[0-9]{4}) (?P<month_basic>[0-9]{2}) (?P<day_basic>[0-9]{2})
      # A hyphen and one digit is the weekday; a hyphen and two digits is a separator and an hour.
    | (?P<week_year>[0-9]{4}) -W (?P<week>[0-9]{2}) (?: - (?P<weekday>[0-9]) (?![0-9]) )?
      # Here the number of digits tells: one, or an even number, begin with the weekday.
    | (?P<week_year_basic>[0-9]{4}) W (?P<week_basic>[0-9]{2})
      (?P<weekday_basic> [0-9] (?: (?![0-9]) | (?= [0-9] (?:[0-9]{2})* (?![0-9]) ) ) )?
    """,
    re.VERBOSE,
)
_FIELDS = r"""
    (?P<hour>[0-9]{2}) (?: (?P<colon>:)? (?P<minute>[0-9]{2}) (?: (?(colon):) (?P<second>[0-9]{2}) )? )?
"""
# After the seconds a fraction also follows a colon, or in the form without colons nothing (two digits at least).
_POINT = r"(?: [.,] | (?(second) (?(colon) : | (?=[0-9]{2}) ) | (?!) ) )"
_WHOLE_CLOCK = re.compile(
    rf"{_FIELDS} (?: {_POINT} (?P<fraction> [0-9]{{1,5}}\Z | [0-9]{{6}} ) (?: [0-9]* (?:\0.*)? ) | \0? )",
    re.VERBOSE | re.DOTALL,
)
_CLOCK_BEFORE_OFFSET = re.compile(
    rf"{_FIELDS} (?: {_POINT} (?P<fraction> [0-9]{{1,5}}\Z | [0-9]{{6}} ) .* | [\0-\x7f]? )",
    re.VERBOSE | re.DOTALL,
)
_OFFSET = re.compile("[+Z-]")


@dataclass(frozen=True)
class Moment:
    """A text that was read: microseconds since 1970 in UTC, and whether the text said how far it was from UTC."""

    micros: int
    had_offset: bool


def read_iso(text: str) -> Moment | None:
    """The moment that the text names, None if 3.11 would not read it or UTC leaves the years 1 to 9999."""
    found = _DATE.match(text)
    if found is None:
        return None
    try:
        day = _date_of(found)
        clock = text[found.end() :]
        if not clock:
            return Moment(_micros(datetime(day.year, day.month, day.day)), False)
        # Any one character separates the date from the time.
        return _read_clock(day, clock[1:])
    except (ValueError, OverflowError):  # from datetime: a field or the result is out of its range
        return None


def _read_clock(day: date, clock: str) -> Moment | None:
    cut = _OFFSET.search(clock)
    if cut is None:
        found = _WHOLE_CLOCK.fullmatch(clock)
        return Moment(_micros(_moment(day, found)), False) if found else None
    found = _CLOCK_BEFORE_OFFSET.fullmatch(clock[: cut.start()])
    offset_us = _offset_us(clock[cut.start() :])
    if found is None or offset_us is None:
        return None
    return Moment(_micros(_moment(day, found) - timedelta(microseconds=offset_us)), True)


def _offset_us(text: str) -> int | None:
    if text[0] == "Z":
        return 0 if text[1:2] in ("", "\0") else None
    found = _WHOLE_CLOCK.fullmatch(text[1:])
    if found is None:
        return None
    hour, minute, second, micros = _fields(found)
    # Its minutes and seconds may exceed 59, only the sum is held against a day; a fraction alone counts nothing.
    seconds = (hour * 60 + minute) * 60 + second
    offset_us = seconds * 1_000_000 + micros if seconds else 0
    if offset_us >= _DAY_US:
        return None
    return -offset_us if text[0] == "-" else offset_us


def _date_of(found: re.Match[str]) -> date:
    if year := found["year"] or found["year_basic"]:
        return date(int(year), int(found["month"] or found["month_basic"]), int(found["day"] or found["day_basic"]))
    year = found["week_year"] or found["week_year_basic"]
    weekday = found["weekday"] or found["weekday_basic"] or "1"
    return date.fromisocalendar(int(year), int(found["week"] or found["week_basic"]), int(weekday))


def _fields(found: re.Match[str]) -> tuple[int, int, int, int]:
    fraction = (found["fraction"] or "").ljust(6, "0")
    return int(found["hour"]), int(found["minute"] or 0), int(found["second"] or 0), int(fraction)


def _moment(day: date, found: re.Match[str]) -> datetime:
    return datetime(day.year, day.month, day.day, *_fields(found))


def _micros(moment: datetime) -> int:
    return (moment - EPOCH) // _MICROSECOND
