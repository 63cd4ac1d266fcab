"""Clients that fail: a measurement of many at once ends with an error, and hangs for nobody."""

import multiprocessing
import os
import signal

import pytest

from credstore_pipeline.bench.access import clients
from credstore_pipeline.bench.access.clients import measure_cell
from credstore_pipeline.bench.access.places import sqlite_place
from credstore_pipeline.bench.contestants import BenchFailed
from credstore_pipeline.demo.stores import build_store

HANGS_S = 120


@pytest.fixture(autouse=True)
def no_hanging():
    """Interrupt what hangs, and end the processes that it leaves."""

    def give_up(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(HANGS_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    for left in multiprocessing.active_children():
        left.kill()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return sqlite_place(build_store(tmp_path_factory.mktemp("access"), "big", credentials=30), 30)


class Failing:
    """A client whose operation goes wrong the `at`th time."""

    def __init__(self, at, how):
        self.left, self.how = at, how

    def work(self, operation):
        self.left -= 1
        if not self.left:
            self.how()
        return True


def fail():
    raise ValueError("on purpose")


def be_killed():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("how", [fail, be_killed])
@pytest.mark.parametrize("at", [1, 2])
def test_a_client_that_ends_before_or_while_it_is_measured_ends_the_measurement(place, monkeypatch, at, how):
    """Found waiting for ever: the others at their barrier, the measurement for an answer that could not come."""
    sound = clients.make_client

    def make(place, seed):
        return Failing(at, how) if seed == 1 else sound(place, seed)

    monkeypatch.setattr(clients, "make_client", make)
    monkeypatch.setattr(clients, "MEET_MAX_S", 3.0 if (at, how) == (1, be_killed) else 600.0)
    with pytest.raises(BenchFailed, match="SQLite, get by id: one of 3 clients ended or hung"):
        measure_cell(place, "get by id", 3, 0.05)
    assert not multiprocessing.active_children()


def test_clients_that_are_sound_are_measured(place):
    cell = measure_cell(place, "get by id", 3, 0.05)
    assert cell.done > 0
    assert not multiprocessing.active_children()
