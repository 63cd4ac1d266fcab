"""Labs for tests of the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from credstore_pipeline.core.deployment import Target
from credstore_pipeline_tests.lab import Lab, make_lab


@pytest.fixture
def lab(tmp_path: Path, database: Target) -> Callable[..., Lab]:
    """Make a lab with a store of the named flavour: `lab("mixed")`."""

    def make(flavour: str, **how: Any) -> Lab:
        return make_lab(tmp_path, database, flavour, **how)

    return make
