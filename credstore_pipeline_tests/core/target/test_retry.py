import pytest

from credstore_pipeline.core.errors import ProofFailed, TargetError, TargetUnreachable, TransientTargetError
from credstore_pipeline.core.target.retry import ATTEMPTS, retrying


class Work:
    """Fails as told, then answers 42."""

    def __init__(self, *failures):
        self.failures, self.calls, self.waits = list(failures), 0, []

    def __call__(self):
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return 42

    def retried(self, **options):
        return retrying(self, sleep=self.waits.append, **options)


LOST = TransientTargetError("load", "lost", sqlstate="57P01")
REFUSED = TargetUnreachable("load", "nothing listens")


def test_transient_failures_are_tried_again_after_growing_pauses():
    work = Work(LOST, LOST, LOST)
    assert work.retried() == 42
    assert work.calls == 4
    assert [low <= wait <= low + 1 for low, wait in zip((0.5, 1, 2), work.waits, strict=True)] == [True] * 3


def test_the_last_failure_is_raised_when_attempts_are_used_up():
    work = Work(*[LOST] * ATTEMPTS)
    with pytest.raises(TransientTargetError):
        work.retried()
    assert work.calls == ATTEMPTS


@pytest.mark.parametrize(
    "failure",
    [
        TargetError("load", "refused", sqlstate="23505"),
        ProofFailed("load", "differs"),
        REFUSED,
        TargetUnreachable("load", "wrong password", sqlstate="28P01"),
        ValueError("a bug"),
    ],
)
def test_what_stays_wrong_is_not_tried_again(failure):
    work = Work(failure)
    with pytest.raises(type(failure)):
        work.retried()
    assert (work.calls, work.waits) == (1, [])


def test_a_server_that_went_away_under_way_is_waited_for():
    work = Work(LOST, REFUSED, REFUSED)
    assert work.retried() == 42


def test_whoever_asks_for_the_outcome_of_an_unheard_commit_waits_for_a_server_that_restarts():
    """The first question after a lost COMMIT met "Connection refused", and the run gave up without an answer."""
    work = Work(REFUSED, REFUSED)
    assert work.retried(after_loss=True) == 42
    wrong_password = Work(TargetUnreachable("load", "wrong password", sqlstate="28P01"))
    with pytest.raises(TargetUnreachable):
        wrong_password.retried(after_loss=True)
    assert wrong_password.calls == 1


def test_a_password_that_turned_wrong_under_way_is_not_waited_for():
    work = Work(LOST, TargetUnreachable("load", "wrong password", sqlstate="28P01"))
    with pytest.raises(TargetUnreachable):
        work.retried()
    assert work.calls == 2


def test_each_failure_is_told_before_the_next_attempt():
    told = []
    Work(LOST, LOST).retried(before_retry=lambda attempt, failure: told.append((attempt, failure.sqlstate)))
    assert told == [(1, "57P01"), (2, "57P01")]
