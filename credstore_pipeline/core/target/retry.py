"""Trying again what may succeed the next time."""

import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, stop_after_attempt, wait_exponential, wait_random
from tenacity.retry import retry_base

from credstore_pipeline.core.errors import TargetUnreachable, TransientTargetError

ATTEMPTS = 5
Result = TypeVar("Result")


class _WhenTransient(retry_base):
    """True for transient failures, and for a server that went away after it had answered."""

    def __init__(self, answered_before: bool) -> None:
        self._answered_before = answered_before

    def __call__(self, retry_state: RetryCallState) -> bool:
        failure = retry_state.outcome.exception() if retry_state.outcome else None
        if isinstance(failure, TransientTargetError):
            self._answered_before = True
            return True
        # A wrong address never gets better; a server that restarts refuses connections for a while.
        return isinstance(failure, TargetUnreachable) and failure.sqlstate is None and self._answered_before


def retrying(
    work: Callable[[], Result],
    *,
    attempts: int = ATTEMPTS,
    after_loss: bool = False,
    before_retry: Callable[[int, BaseException], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Result:
    """Do a piece of work, again after lost connections, deadlocks, serialization failures and busy locks.

    Args:
        work: One whole transaction, connection included; it must be fit to run twice.
        attempts: How often at most.
        after_loss: Whether the connection was lost just before, at a COMMIT of which this asks: a server that restarts
            is then waited for from the first attempt on.
        before_retry: Told the number of the attempt that failed, and its error.
        sleep: Waits that many seconds: 0.5, 1, 2, 4 … up to 10, and up to 1 more by chance.

    Raises:
        TransientTargetError: The last attempt's.
        CredstoreError: Any other, at once.
    """

    def tell(state: RetryCallState) -> None:
        failure = state.outcome.exception() if state.outcome else None
        if before_retry and failure:
            before_retry(state.attempt_number, failure)

    policy = Retrying(
        retry=_WhenTransient(after_loss),
        stop=stop_after_attempt(attempts),
        wait=wait_exponential(multiplier=0.5, max=10) + wait_random(0, 1),
        sleep=sleep,
        before_sleep=tell,
        reraise=True,
    )
    return policy(work)
