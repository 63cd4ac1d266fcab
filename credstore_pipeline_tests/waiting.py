"""What tests wait for: anything at all, a session that stands at a lock, a process."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def await_true(
    condition: Callable[[], Any], max_s: float = 600.0, said: Callable[[], str] = str, pause_s: float = 0.01
) -> None:
    """Look until it holds; `said` tells what was there instead."""
    until = time.monotonic() + max_s
    while not condition():
        assert time.monotonic() < until, said()
        time.sleep(pause_s)


def waiting_for_locks(sql: Callable[[str], list[tuple[Any, ...]]]) -> dict[int, str]:
    """Sessions on the database that wait for a lock: process id -> application name.

    The server is one for all workers: what waits on other databases is another test's.
    """
    return dict(
        sql(
            "SELECT pid, application_name FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
    )


def process_state(pid: int) -> str | None:
    """The letter for what a process does, `T` stopped, `Z` ended and not waited for; None if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None
