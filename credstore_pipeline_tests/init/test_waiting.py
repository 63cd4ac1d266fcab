import pytest

from credstore_pipeline.core.errors import (
    LoadLocked,
    ShapeRefused,
    TargetError,
    TargetUnreachable,
    TransientTargetError,
)
from credstore_pipeline.init import waiting
from credstore_pipeline.init.waiting import until_it_answers


class Clock:
    """Time that passes only while it is slept."""

    def __init__(self):
        self.now, self.slept = 1000.0, []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock.monotonic)
    return clock


def failing(*errors):
    left = list(errors)

    def work():
        if left:
            raise left.pop(0)

    return work


NOBODY = TargetUnreachable("the target", "nothing listens there.", todo="Is it running?")


def test_every_failure_that_may_pass_is_waited_for_and_said(clock):
    said = []
    errors = [
        NOBODY,
        TransientTargetError("t", "the server is starting.", sqlstate="57P03"),
        LoadLocked("l", "another load has been running"),
    ]
    until_it_answers(failing(*errors), place="db:5432/netraven", max_s=60, say=said.append, sleep=clock.sleep)
    assert len(said) == 3
    assert said[0].startswith("waiting for PostgreSQL at db:5432/netraven: nothing listens there; next try in ")
    assert "the server is starting" in said[1]
    assert "another load has been running" in said[2]


def test_pauses_grow_to_a_limit_and_it_gives_up_in_time(clock):
    with pytest.raises(TargetUnreachable) as gave_up:
        until_it_answers(failing(*[NOBODY] * 1000), place="db", max_s=120, say=lambda _: None, sleep=clock.sleep)
    assert "PostgreSQL at db: gave up after 1" in str(gave_up.value)
    assert "nothing listens there" in str(gave_up.value)
    assert "CREDSTORE_INIT_MAX_S" in str(gave_up.value)
    assert sum(clock.slept) <= 120
    assert 0.5 <= clock.slept[0] <= 1.0
    assert clock.slept == sorted(clock.slept) or max(clock.slept) <= waiting.LONGEST_WAIT_S + waiting.JITTER_S
    assert max(clock.slept) >= waiting.LONGEST_WAIT_S


@pytest.mark.parametrize(
    "final",
    [
        TargetUnreachable("t", "wrong password.", sqlstate="28P01"),
        TargetUnreachable("t", "the database does not exist.", sqlstate="3D000"),
        TargetError("t", "a right is missing.", sqlstate="42501"),
        ShapeRefused("t", "its tables are others"),
    ],
)
def test_what_waiting_does_not_mend_is_told_at_once(clock, final):
    with pytest.raises(type(final)) as told:
        until_it_answers(failing(final), place="db", max_s=120, say=lambda _: None, sleep=clock.sleep)
    assert told.value is final
    assert clock.slept == []
