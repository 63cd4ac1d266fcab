"""`credstore-init` as a process, and PostgreSQL servers of a test's own that start and stop when it says so."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from credstore_pipeline.embedded import EmbeddedServer, embedded_server
from credstore_pipeline.init.__main__ import main
from credstore_pipeline_tests.conftest import THROWAWAY
from credstore_pipeline_tests.lab import OURS

PROGRAM = Path(sys.executable).with_name("credstore-init")


class Init:
    """The program as a process of its own."""

    def __init__(self, arguments: Sequence[str], settings: Mapping[str, str]) -> None:
        """Start it with nothing of ours in its environment but the settings."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        self.process = subprocess.Popen(
            [str(PROGRAM), *arguments],
            env={**plain, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def said(self, words: str, max_s: float = 60) -> str:
        """Wait for a line that has the words."""
        deadline = time.monotonic() + max_s
        assert self.process.stdout
        for line in self.process.stdout:
            if words in line:
                return line
            assert time.monotonic() < deadline, line
        raise AssertionError(f"it ended without saying {words!r}")

    def end(self) -> tuple[int, str, str]:
        """Wait for its end: exit code, standard output, standard error."""
        out, err = self.process.communicate(timeout=120)
        return self.process.returncode, out, err


@pytest.fixture
def init() -> Iterator[Callable[..., Init]]:
    """Start the program: `init("--option", POSTGRES_HOST=...)`."""
    started: list[Init] = []

    def start(*arguments: str, **settings: str) -> Init:
        started.append(Init(arguments, settings))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


@pytest.fixture
def own_server() -> Iterator[Callable[[], tuple[EmbeddedServer, Callable[[], None]]]]:
    """Start a server in a folder that stays the same for the test; returns it and what stops it."""
    with tempfile.TemporaryDirectory(prefix="credstore-tests-own-") as folder, ExitStack() as running:
        # As root the server runs as another user, who has to pass through.
        Path(folder).chmod(0o711)

        def start() -> tuple[EmbeddedServer, Callable[[], None]]:
            one = ExitStack()
            running.push(one)
            return one.enter_context(embedded_server(Path(folder) / "server", settings=THROWAWAY)), one.close

        yield start


@pytest.fixture
def init_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run the program in this process, a second faster: exit code, standard output, standard error."""

    def run(*arguments: str, **settings: str) -> tuple[int, str, str]:
        for name in [name for name in os.environ if name.startswith(OURS)]:
            monkeypatch.delenv(name)
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        code = main(arguments)
        return code, *capsys.readouterr()

    return run
