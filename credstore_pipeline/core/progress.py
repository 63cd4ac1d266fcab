"""Progress of long work: rows done of total, rate, time left, every few seconds."""

import re
import time
from collections.abc import Callable
from typing import NamedTuple

EVERY_S = 5.0

_LINE = re.compile(r"(?P<what>.+): (?P<done>[\d,]+) of (?P<total>[\d,]+) rows, ")


class Reading(NamedTuple):
    """A line of progress, read back.

    Attributes:
        what: What is being done.
        done: Rows done.
        total: Rows there are to do.
    """

    what: str
    done: int
    total: int


def read_progress(line: str) -> Reading | None:
    """What a line of `Progress` says; None for any other line."""
    found = _LINE.match(line)
    if found is None:
        return None
    return Reading(found["what"], int(found["done"].replace(",", "")), int(found["total"].replace(",", "")))


class Progress:
    """Says how far a piece of work is; call it with the rows done so far."""

    def __init__(
        self,
        what: str,
        total_rows: int,
        log: Callable[[str], None],
        *,
        every_s: float = EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start counting with the first call.

        Args:
            what: What is being done, as the line's beginning.
            total_rows: Rows there are to do.
            log: Takes one line of text.
            every_s: Seconds between two lines at least.
            clock: Seconds, monotonic.
        """
        self._what, self._total, self._log, self._every_s, self._clock = what, total_rows, log, every_s, clock
        self._began: float | None = None
        self._first = self._told = 0.0

    def __call__(self, rows_done: int) -> None:
        """Say so if the last line is old enough."""
        now = self._clock()
        if self._began is None:
            self._began, self._told, self._first = now, now, rows_done
            return
        if now - self._told < self._every_s:
            return
        self._told = now
        rate = max(rows_done - self._first, 1) / (now - self._began)
        left_s = max(self._total - rows_done, 0) / rate
        self._log(f"{self._what}: {rows_done:,} of {self._total:,} rows, {rate:,.0f} rows/s, {left_s:.0f} s left")
