"""Waiting for a PostgreSQL that is starting, restarting or busy, with growing pauses and a deadline."""

import time
from collections.abc import Callable

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_before_delay, wait_exponential, wait_random

from credstore_pipeline.core.errors import (
    CredstoreError,
    LoadLocked,
    TargetError,
    TargetUnreachable,
    TransientTargetError,
)

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 10.0
JITTER_S = 0.5


def until_it_answers(
    work: Callable[[], None],
    *,
    place: str,
    max_s: float,
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Do the work as soon as the server lets it be done; the work must be fit to be repeated.

    Waited for are a host without an address, a server that does not answer, starts, stops or is full, and a load
    that is running. A wrong password or a missing database is not: neither gets better by itself.

    Args:
        work: What is to be done.
        place: Where the server is, for messages.
        max_s: No attempt begins later than that after the first.
        say: Told what is waited for.
        sleep: Waits between attempts, in seconds.

    Raises:
        TargetUnreachable: If the time is over; says for how long it was waited, and for what.
        CredstoreError: Whatever waiting does not mend, at once.
    """
    began = time.monotonic()

    def tell(state: RetryCallState) -> None:
        failure = state.outcome.exception() if state.outcome else None
        wrong = failure.wrong.rstrip(".\n") if isinstance(failure, CredstoreError) else "it does not answer"
        left_s = max(0.0, max_s - (time.monotonic() - began))
        say(
            f"waiting for PostgreSQL at {place}: {wrong}; next try in {state.upcoming_sleep:.1f} s, {left_s:.0f} s left"
        )

    policy = Retrying(
        retry=retry_if_exception(may_pass),
        stop=stop_before_delay(max_s),
        wait=wait_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S) + wait_random(0, JITTER_S),
        sleep=sleep,
        before_sleep=tell,
        reraise=True,
    )
    try:
        policy(work)
    except CredstoreError as error:
        if not may_pass(error):
            raise
        waited_s = time.monotonic() - began
        raise TargetUnreachable(
            f"PostgreSQL at {place}",
            f"gave up after {waited_s:.0f} s: {error.wrong}",
            sqlstate=error.sqlstate if isinstance(error, TargetError) else None,
            todo=f"{error.todo} CREDSTORE_INIT_MAX_S says how long to wait.".strip(),
        ) from None


def may_pass(error: BaseException) -> bool:
    """Tell whether waiting may mend it: nobody has answered yet, or the answer was not now."""
    if isinstance(error, TargetUnreachable):
        return error.sqlstate is None
    return isinstance(error, (TransientTargetError, LoadLocked))
