"""The run's side of a worker process."""

import os
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from pickle import UnpicklingError

import credstore_pipeline
from credstore_pipeline.core.errors import SealingFailed
from credstore_pipeline.core.secrets.chunks import Chunk, Setup
from credstore_pipeline.core.secrets.judge import Judged, Seen

WORKER = "credstore_pipeline.core.secrets.worker"

_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "LANG", "LC_ALL")
_PATIENCE_SECONDS = 2.0


class WorkerProcess:
    """One running worker; its keys went through the pipe, its environment holds none."""

    def __init__(self, setup: Setup) -> None:
        """Start the worker and hand it its keys.

        Raises:
            SealingFailed: If it cannot be started.
        """
        try:
            # -P: a folder the run happens to be in must not decide what the worker imports.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                close_fds=True,
                bufsize=0,
            )
        except OSError as error:
            raise _failed(f"a worker process could not be started ({error.strerror})") from None
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise _failed("a worker process has no pipes")
        with stdin, stdout:
            self._outbound = Connection(os.dup(stdin.fileno()), readable=False)
            self._inbound = Connection(os.dup(stdout.fileno()), writable=False)
        self._send(setup)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def send(self, chunk: Chunk) -> None:
        """Hand the worker one chunk; ask for its answer before handing over the next.

        Raises:
            SealingFailed: If the worker is gone.
        """
        self._send(chunk)

    def receive(self) -> Judged | Seen:
        """Wait for the answer to the chunk sent last, as columns.

        Raises:
            SealingFailed: If the worker died or could not do it.
        """
        try:
            kind, answer = self._inbound.recv()
        except (EOFError, OSError, UnpicklingError):
            raise self._died() from None
        if kind != "done":
            raise _failed(f"a worker process failed ({answer})")
        columns: Judged | Seen = answer
        return columns

    def kill(self) -> None:
        """End the worker at once; a thread that waits for it gets SealingFailed. Call `stop` afterwards."""
        self._process.kill()

    def stop(self) -> None:
        """End the worker by its pipe's end, or by force if it lingers, and wait for it."""
        self._outbound.close()
        try:
            self._process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._inbound.close()

    def _send(self, message: Setup | Chunk) -> None:
        try:
            self._outbound.send(message)
        except OSError:
            raise self._died() from None

    def _died(self) -> SealingFailed:
        try:
            code: int | str = self._process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            code = "none"
        return _failed(f"a worker process ended early (exit code {code})")


def _failed(wrong: str) -> SealingFailed:
    return SealingFailed("opening and sealing passwords", f"{wrong}.", todo="Run again.")


def _environment() -> dict[str, str]:
    """Return what Python needs to start and to find this package, and nothing else: keys may stand in the rest."""
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    root = str(Path(credstore_pipeline.__file__).resolve().parents[1])
    environment["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [environment.get("PYTHONPATH")])])
    return environment
