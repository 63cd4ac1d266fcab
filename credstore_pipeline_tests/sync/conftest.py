"""A loaded lab for tests of the window."""

import pytest

from credstore_pipeline_tests.core.target.ddl import W5FF43A7
from credstore_pipeline_tests.pipeline.flow import already, born, flow


@pytest.fixture
def at(administrator, database, tmp_path):
    """A lab after a good load into the application's tables: 12 credentials, each password known."""

    def load(lab):
        born(lab, W5FF43A7)
        flow(lab).load()

    return already("window_loaded", "web", load, administrator, database, tmp_path)
