"""Labs at the end of a window: loaded, and cut over."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from credstore_pipeline.core.cutover.cut_over import CutOverDone, cut_over
from credstore_pipeline.core.deployment import Target
from credstore_pipeline_tests.lab import Lab, make_lab
from credstore_pipeline_tests.pipeline.flow import already, flow
from credstore_pipeline_tests.window.watch import Watch


def end(at: Lab, target: Target | None = None, **how: object) -> CutOverDone:
    """Cut the lab over, through another way to its target if one is given."""
    run = flow(at, target=target)
    told = {"confirm": str(at.store.path), "log": run.log.append, **how}
    return cut_over(run.deployment, run.ring, run.run_id, **told)


@contextmanager
def environment(at: Lab, **settings: str) -> Iterator[dg.DagsterInstance]:
    """The lab's environment in this process, with a Dagster that forgets."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(at.environment(**settings))
    try:
        with dg.DagsterInstance.ephemeral() as instance:
            yield instance
    finally:
        os.environ.clear()
        os.environ.update(before)


def _load(at: Lab) -> None:
    flow(at).load()
    flow(at).verify()


def _cut_over(at: Lab) -> None:
    _load(at)
    end(at)


@pytest.fixture
def loaded(administrator: sa.Engine, database: Target, tmp_path: Path) -> Callable[..., Lab]:
    """A lab after its initial load, verified: `loaded("web")`."""

    def make(flavour: str = "web") -> Lab:
        return already(f"window_{flavour}", flavour, _load, administrator, database, tmp_path)

    return make


@pytest.fixture
def ended(administrator: sa.Engine, database: Target, tmp_path: Path) -> Callable[..., Lab]:
    """A lab that was cut over, with writers blocked."""

    def make(flavour: str = "web") -> Lab:
        return already(f"ended_{flavour}", flavour, _cut_over, administrator, database, tmp_path)

    return make


@pytest.fixture
def lab(tmp_path: Path, database: Target) -> Callable[..., Lab]:
    """A lab on which nothing was done."""
    return lambda flavour: make_lab(tmp_path, database, flavour)


@pytest.fixture(scope="session")
def watch() -> Watch:
    """One for all, since it stays in the process."""
    return Watch()
