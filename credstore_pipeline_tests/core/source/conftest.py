"""A place that everyone may enter, and the way to be someone else there."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

NOBODY = 65534


@pytest.fixture
def ground() -> Iterator[Path]:
    """A folder that any user may pass through, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="credstore-ground-"))
    path.chmod(0o755)
    yield path
    for folder in (p for p in path.rglob("*") if p.is_dir()):
        folder.chmod(0o700)
    shutil.rmtree(path)


@pytest.fixture
def unprivileged() -> Callable[[], AbstractContextManager[None]]:
    """Be nobody inside the block if the tests run as root, whom no folder refuses."""

    @contextmanager
    def be() -> Iterator[None]:
        if os.getuid() != 0:
            yield
            return
        groups = os.getgroups()
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, 0)
        os.setresuid(NOBODY, NOBODY, 0)
        try:
            yield
        finally:
            os.setresuid(0, 0, 0)
            os.setresgid(0, 0, 0)
            os.setgroups(groups)

    return be
