"""A loaded lab for tests of the window."""

import os
from dataclasses import replace

import pytest

from credstore_pipeline.core.source import edits
from credstore_pipeline_tests.core.target.ddl import W5FF43A7
from credstore_pipeline_tests.pipeline import flow as flows
from credstore_pipeline_tests.pipeline.flow import already, born, flow

EDITS_ALONE = "CREDSTORE_TESTS_EDITS"
"""If it is set, each pass of these tests takes edited rows alone where the pipeline may."""


@pytest.fixture(autouse=True)
def passes(monkeypatch):
    """Whole passes, as of a small store; or those of a large one, which have to come to the same."""
    if os.environ.get(EDITS_ALONE):
        monkeypatch.setattr(flows, "LENIENT", replace(flows.LENIENT, whole_pass_below=0))
        monkeypatch.setattr(edits, "AT_MOST", 1.0)


@pytest.fixture
def at(administrator, database, tmp_path):
    """A lab after a good load into the application's tables: 12 credentials, each password known."""

    def load(lab):
        born(lab, W5FF43A7)
        flow(lab).load()

    return already("window_loaded", "web", load, administrator, database, tmp_path)
