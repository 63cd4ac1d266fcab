"""The real command line, many times at the price of one start.

A process that has imported everything forks a child for each command. The child takes its environment, output and
arguments, and runs what the script `dagster` runs; it can be killed as any run can.
"""

import atexit
import contextlib
import functools
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from credstore_pipeline_tests.lab import ROOT, Lab

MATERIALIZE = ("asset", "materialize", "-m", "credstore_pipeline.definitions", "--select", "*")
PRELOADED = (
    "dagster._cli",
    "dagster._core.storage.event_log.sqlite",
    "dagster._core.storage.runs.sqlite",
    "dagster._core.storage.schedules.sqlite",
    "alembic.command",
    "pandera.pandas",
    "upath",
    "psycopg2.extensions",
    "sqlalchemy.dialects.postgresql.psycopg2",
    "credstore_pipeline.definitions",
)
FINISH_MAX_S = 900.0
POLL_S = 0.01


@dataclass
class Command:
    """One command line that was started.

    Attributes:
        pid: Its process.
        output: The file of what it wrote to stdout and stderr.
    """

    pid: int
    output: Path
    _code: int | None = None

    @property
    def code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        if self._code is None:
            self._code = _ask({"poll": self.pid})
        return self._code

    @property
    def text(self) -> str:
        """Everything it said so far."""
        return self.output.read_text()

    def wait(self) -> int:
        """Wait for its end and return its exit code."""
        deadline = time.monotonic() + FINISH_MAX_S
        while self.code is None:
            assert time.monotonic() < deadline, self.text[-4000:]
            time.sleep(POLL_S)
        assert self.code is not None
        return self.code

    def kill(self) -> None:
        """Kill -9, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.wait()


def start(
    lab: Lab,
    *arguments: str,
    raise_in: tuple[str, str] | None = None,
    stop_in: str | None = None,
    **settings: str,
) -> Command:
    """Start a command on a lab; materialize everything unless told otherwise.

    Args:
        lab: Whose environment it gets.
        arguments: What follows `dagster`.
        raise_in: A function (`module:name`) that raises a ValueError instead, and that error's text.
        stop_in: A function (`module:name`) in which the process stops until it is killed or told to go on.
        settings: Further environment variables.
    """
    place = lab.folder / "output"
    place.mkdir(exist_ok=True)
    output = place / f"{len(list(place.iterdir()))}.txt"
    output.touch(mode=0o600)
    told = {
        "environment": lab.environment(**settings),
        "arguments": arguments or MATERIALIZE,
        "output": str(output),
        "raise_in": raise_in,
        "stop_in": stop_in,
    }
    return Command(_ask(told), output)


@functools.cache
def _launcher() -> "subprocess.Popen[str]":
    launcher = subprocess.Popen(
        [sys.executable, "-m", __name__],
        cwd=ROOT,
        env={**os.environ, "DAGSTER_DISABLE_TELEMETRY": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        bufsize=1,
    )
    # It ends when its questions do.
    atexit.register(launcher.communicate)
    return launcher


def _ask(question: dict[str, Any]) -> Any:
    launcher = _launcher()
    assert launcher.stdin
    assert launcher.stdout
    launcher.stdin.write(json.dumps(question) + "\n")
    return json.loads(launcher.stdout.readline())


def main() -> None:
    """Serve questions until stdin ends."""
    for module in PRELOADED:
        importlib.import_module(module)
    for line in sys.stdin:
        question = json.loads(line)
        answer = _polled(question["poll"]) if "poll" in question else _forked(question)
        print(json.dumps(answer), flush=True)


def _polled(pid: int) -> int | None:
    gone, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if gone else None


def _forked(question: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        code = _run(question)
    except BaseException:
        # As the interpreter would have it.
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(question: dict[str, Any]) -> int:
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(question["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream, file in ((0, nothing), (1, output), (2, output)):
        os.dup2(file, stream)
    os.environ.clear()
    os.environ.update(question["environment"])
    if question["raise_in"]:
        place, text = question["raise_in"]
        _make_raise(place, text)
    if question["stop_in"]:
        _make_stop(question["stop_in"])
    sys.argv = ["dagster", *question["arguments"]]
    try:
        importlib.import_module("dagster._cli").main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _make_raise(place: str, text: str) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError(text)

    setattr(*_found(place), fail)


def _make_stop(place: str) -> None:
    owner, name = _found(place)
    whole = getattr(owner, name)

    def stop(*arguments: Any, **how: Any) -> Any:
        os.kill(os.getpid(), signal.SIGSTOP)
        return whole(*arguments, **how)

    setattr(owner, name, stop)


def _found(place: str) -> tuple[Any, str]:
    module, _, name = place.partition(":")
    owner: Any = importlib.import_module(module)
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    return owner, last


if __name__ == "__main__":
    main()
