"""The state machine: a few examples by default, some hundred steps where only CI runs, any number by `make soak`."""

import itertools
import os
from functools import partial

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from credstore_pipeline.core.load import transaction as load_transaction
from credstore_pipeline.core.target.retry import retrying
from credstore_pipeline_tests.pipeline.flow import already, source
from credstore_pipeline_tests.sync.machine import Window
from credstore_pipeline_tests.sync.world import World

STEPS = 40


@pytest.fixture
def window(administrator, database, tmp_path, monkeypatch):
    """A machine whose every example starts on an empty store and an empty database."""
    monkeypatch.setattr(load_transaction, "retrying", partial(retrying, sleep=lambda seconds: None))
    numbers = itertools.count()

    def empty(at):
        with source(at) as store:
            for table in ("credential_tags", "credentials", "tags", "device_tags", "tag_rules"):
                store.execute(f"DELETE FROM {table}")

    def make():
        # Beside the test's own folder, which goes with it: the template outlives the test.
        folder = tmp_path.with_name(f"{tmp_path.name}-{next(numbers)}")
        folder.mkdir()
        return World(already("window", "web", empty, administrator, database, folder))

    return type("WindowHere", (Window,), {"make": staticmethod(make)})


def drive(machine, examples, *, the_same=True):
    """Run so many examples of 40 steps; the same each time, so that a change is refused for what it does alone."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            database=None,
            derandomize=the_same,
        ),
    )


def test_whatever_happens_postgresql_is_what_the_model_says(window):
    drive(window, 2)


@pytest.mark.ci
def test_it_is_so_for_some_hundred_steps(window):
    asked = os.environ.get("CREDSTORE_SOAK_EXAMPLES")
    drive(window, int(asked or 8), the_same=not asked)
