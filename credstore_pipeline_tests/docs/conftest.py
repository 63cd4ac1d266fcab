"""A reader with a clone, a made-up store and a database."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from credstore_pipeline.core.deployment import Target
from credstore_pipeline.demo.stores import build_store
from credstore_pipeline.demo.story import prepare_home
from credstore_pipeline_tests.docs.session import Session, clone
from credstore_pipeline_tests.lab import Lab


class Reader(Session):
    """A shell in a clone, with the settings of one store and one target.

    Attributes:
        lab: The store and the target, for what a test does beside the page.
        settings: The variables.
    """

    def __init__(self, lab: Lab, settings: dict[str, str], exported: bool) -> None:
        super().__init__(clone(lab.folder / "clone"), settings if exported else {})
        self.lab, self.settings = lab, settings


@pytest.fixture
def reader(tmp_path: Path, database: Target) -> Iterator[Callable[..., Reader]]:
    """Open the shell: `reader("demo", CREDSTORE_MAX_QUARANTINED="7")`; `exported=False` leaves settings to the page."""
    opened = []

    def make(flavour: str, *, exported: bool = True, **settings: str) -> Reader:
        lab = Lab(tmp_path, database, build_store(tmp_path / "store", flavour))
        prepare_home(lab.home)
        given = {
            **lab.store.environment(),
            "DAGSTER_HOME": str(lab.home),
            "CREDSTORE_BACKUP_DIR": str(lab.snapshots),
            "CREDSTORE_POSTGRES_URL": database.url.set(drivername="postgresql").render_as_string(hide_password=False),
            **settings,
        }
        opened.append(Reader(lab, given, exported))
        return opened[-1]

    yield make
    for each in opened:
        each.close()
