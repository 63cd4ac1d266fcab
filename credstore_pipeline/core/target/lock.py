"""One load at a time in one schema of one database, whoever starts it from wherever."""

import hashlib
import time
from collections.abc import Callable, Sequence

import sqlalchemy as sa

from credstore_pipeline.core.errors import LoadLocked
from credstore_pipeline.core.target.connect import APPLICATION

POLL_S = 0.25


def lock_key(schema: str) -> int:
    """Give the number of the advisory lock: the same in every version of the pipeline.

    Returns:
        A signed 64-bit integer.
    """
    digest = hashlib.sha256(f"credstore_pipeline load {schema}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def take_lock(
    connection: sa.Connection, schema: str, wait_s: float, *, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Take the load's lock; it is held until the connection's transaction ends, however it ends.

    Args:
        connection: The load's; READ COMMITTED, so that later statements see what the former holder committed.
        schema: Where the application's tables are.
        wait_s: How long to wait for another run.
        sleep: Waits between tries, in seconds.

    Raises:
        LoadLocked: If another run still holds it; names it, its process and since when.
    """
    deadline = time.monotonic() + wait_s
    # Asked again and again, not waited for: a waiting statement would end the transaction when its time is over.
    while not connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(lock_key(schema)))).scalar_one():
        if time.monotonic() >= deadline:
            raise LoadLocked(
                f"loading into schema {schema}",
                f"another load has been running: {lock_holders(connection, schema) or 'it has just ended'}.",
                todo="Wait for it to end and run again. A load whose machine is gone holds the lock until the server "
                "notices; pg_terminate_backend(pid) ends it at once, and loses nothing.",
            )
        sleep(POLL_S)


def lock_holders(connection: sa.Connection, schema: str) -> str:
    """Name who holds the load's lock: run id, process and since when; empty if nobody does."""
    key = lock_key(schema) % (1 << 64)
    pids = connection.execute(
        sa.text(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND classid::bigint = :high AND objid::bigint = :low ORDER BY pid"
        ),
        {"high": key >> 32, "low": key & 0xFFFFFFFF},
    ).scalars()
    return describe_sessions(connection, list(pids))


def describe_sessions(connection: sa.Connection, pids: Sequence[int]) -> str:
    """Name sessions: `run 4f0c… (pid 812, in a transaction since 2026-01-02 03:04:05+00)`; never what they run.

    Sessions of other roles show no start unless we may see them (pg_monitor).
    """
    rows = connection.execute(
        sa.text(
            "SELECT pid, application_name, date_trunc('second', xact_start)::text FROM pg_stat_activity"
            " WHERE pid = ANY(:pids) ORDER BY pid"
        ),
        {"pids": list(pids)},
    )
    return "; ".join(_session(pid, name or "", since) for pid, name, since in rows)


def _session(pid: int, application: str, since: str | None) -> str:
    ours, _, run_id = application.partition(" ")
    # Others choose their names freely; only those of our own form are shown.
    who = f"run {run_id}" if ours == APPLICATION and run_id else "another program"
    return f"{who} (pid {pid}, in a transaction since {since or 'an unknown time'})"
