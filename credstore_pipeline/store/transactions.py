"""One transaction an operation: tried again while that is safe, and never twice when it may have happened.

When a connection is lost during COMMIT, the server is asked by the transaction's number what became of it.
"""

import logging
from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_exponential,
    wait_random,
)

from credstore_pipeline.core.errors import CredstoreError, TargetError, TargetUnreachable, TransientTargetError
from credstore_pipeline.store.connecting import CRASH_MARK, begin_writing
from credstore_pipeline.store.errors import OutcomeUnknown
from credstore_pipeline.store.failures import DRIVER_ERRORS, leaves_open, store_failure
from credstore_pipeline.store.outcome import Outcome, ask_outcome
from credstore_pipeline.store.settings import StoreSettings

log = logging.getLogger("credstore_pipeline.store")
Result = TypeVar("Result")
Work = Callable[[Session], Result]
"""Statements on a session; fit to run twice, since a transaction that was rolled back is tried again."""


NUMBER = "number"
"""Key in a session's info: where work that knows its transaction's number leaves it, and saves a question."""


class Transactions:
    """Runs operations on one engine; any number of threads at once."""

    def __init__(self, engine: sa.Engine, settings: StoreSettings, sleep: Callable[[float], None]) -> None:
        """Hold the engine and how to retry."""
        self.engine = engine
        self._settings, self._sleep = settings, sleep
        self._snapshots = engine.execution_options(isolation_level="REPEATABLE READ")

    def read(self, where: str, work: Work[Result]) -> Result:
        """Return what one SELECT finds."""
        return self._retried(where, lambda: self._read(self.engine, where, work))

    def read_consistently(self, where: str, work: Work[Result]) -> Result:
        """Return what several SELECTs find, all of them at one moment."""
        return self._retried(where, lambda: self._read(self._snapshots, where, work))

    def write(self, where: str, work: Work[Result]) -> Result:
        """Do the work and commit it, exactly once.

        Args:
            where: The operation, for messages.
            work: What is to be done; its result is returned after the commit.

        Raises:
            OutcomeUnknown: If it cannot be told whether the COMMIT took effect.
            CredstoreError: Whatever the work or the database refuses; then nothing was changed.
        """
        return self._retried(where, lambda: _told(where, lambda: self._write(where, work)))

    def _read(self, engine: sa.Engine, where: str, work: Work[Result]) -> Result:
        def read() -> Result:
            with Session(engine) as session:
                return work(session)

        return _told(where, read)

    def _write(self, where: str, work: Work[Result]) -> Result:
        with Session(self.engine, expire_on_commit=False) as session:
            connection = _told(where, lambda: begin_writing(session))
            mark = connection.info.get(CRASH_MARK)
            result, number = _told(where, lambda: _done(session, work))
            lost = _caught(session.commit)
            if lost is None:
                return result
        failure = store_failure(lost, where)
        if number is None or not leaves_open(lost):
            raise failure
        self._settle(where, number, mark, failure)
        return result

    def _settle(self, where: str, number: int, mark: str | None, lost: CredstoreError) -> None:
        """Return if the transaction is committed, raise what is tried again if it is not."""
        try:
            outcome = self._retried(
                where, lambda: self._read(self.engine, where, lambda session: ask_outcome(session, number, mark))
            )
        except TargetError:
            outcome = Outcome.UNKNOWN
        log.warning("%s: the connection was lost during COMMIT; the transaction is %s", where, outcome.value)
        if outcome is Outcome.ABORTED:
            raise TransientTargetError(where, lost.wrong, state=lost.state, todo=lost.todo)
        if outcome is Outcome.UNKNOWN:
            raise OutcomeUnknown(
                where,
                "the server crashed or stayed away in the moment of the COMMIT.",
                state="The change is there in full, or not at all.",
                todo="Look whether it is there before you repeat it.",
            )

    def _retried(self, where: str, attempt: Callable[[], Result]) -> Result:
        settings = self._settings

        def tell(state: RetryCallState) -> None:
            failure = state.outcome.exception() if state.outcome else None
            if isinstance(failure, CredstoreError):
                log.warning("%s; attempt %d failed, trying again: %s", where, state.attempt_number, failure.wrong)

        policy = Retrying(
            retry=retry_if_exception(_may_pass),
            stop=stop_after_attempt(settings.attempts) | stop_before_delay(settings.retry_max_s),
            wait=wait_exponential(multiplier=settings.first_wait_s, max=settings.longest_wait_s)
            + wait_random(0, settings.jitter_s),
            sleep=self._sleep,
            before_sleep=tell,
            reraise=True,
        )
        return policy(attempt)


def _may_pass(failure: BaseException) -> bool:
    # Without a SQLSTATE nobody answered: the server, or its name, is not there yet. A refused login stays refused.
    return isinstance(failure, TransientTargetError) or (
        isinstance(failure, TargetUnreachable) and failure.sqlstate is None
    )


def _done(session: Session, work: Work[Result]) -> tuple[Result, int | None]:
    """Do the work; returns its result, and the transaction's number if it changes anything."""
    result = work(session)
    session.flush()
    number = session.info.get(NUMBER) or session.scalar(sa.select(sa.func.txid_current_if_assigned()))
    return result, number


def _caught(step: Callable[[], None]) -> Exception | None:
    try:
        step()
    except DRIVER_ERRORS as error:
        return error
    return None


def _told(where: str, step: Callable[[], Result]) -> Result:
    """Let no error of the driver out of a step: what leaves it is ours, and holds evidence alone."""
    try:
        return step()
    except CredstoreError:
        raise
    except DRIVER_ERRORS as error:
        failure = store_failure(error, where)
    # Not raised while the driver's error is handled: that one quotes rows, and would go along as context.
    raise failure
