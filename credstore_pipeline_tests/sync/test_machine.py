"""The state machine: a few examples by default, two thousand steps where only CI runs, any number by `make soak`."""

import itertools
import os
from functools import partial

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers
from hypothesis.stateful import run_state_machine_as_test

from credstore_pipeline.core.load import transaction as load_transaction
from credstore_pipeline.core.target.retry import retrying
from credstore_pipeline_tests.pipeline.flow import already, source
from credstore_pipeline_tests.sync.machine import Window
from credstore_pipeline_tests.sync.world import World

STEPS = 50
SEEDS = 10
EXAMPLES = 4


@pytest.fixture
def window(administrator, database, tmp_path, monkeypatch):
    """A machine whose every example starts on an empty store and an empty database."""
    monkeypatch.setattr(load_transaction, "retrying", partial(retrying, sleep=lambda seconds: None))
    # Constants found in whatever modules are loaded would make a seed mean something else in another session.
    monkeypatch.setattr(providers, "_get_local_constants", providers.Constants)
    providers.CONSTANTS_CACHE.cache.clear()
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


def drive(machine, examples, *, seed=None, steps=STEPS):
    """Run so many examples; with a seed the same each time, so that a change is refused for what it does alone."""
    machine._hypothesis_internal_use_seed = seed
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            database=None,
        ),
    )


def test_whatever_happens_postgresql_is_what_the_model_says(window):
    drive(window, 2, seed=0)


@pytest.mark.ci
@pytest.mark.parametrize("seed", range(SEEDS))
def test_it_is_so_for_two_thousand_steps(window, seed):
    # The first example of a seed is the same for all: the simplest choice each time.
    drive(window, 1 + EXAMPLES, seed=seed + 1)
    assert window.steps >= EXAMPLES * STEPS
    assert SEEDS * EXAMPLES * STEPS >= 2000


@pytest.mark.ci
@pytest.mark.skipif("CREDSTORE_SOAK_EXAMPLES" not in os.environ, reason="make soak runs it")
def test_it_is_so_however_long_it_is_tried(window):
    drive(window, int(os.environ["CREDSTORE_SOAK_EXAMPLES"]))
