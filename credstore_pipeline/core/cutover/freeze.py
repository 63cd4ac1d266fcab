"""The source frozen: no writer gets in, readers go on, and whatever happens it ends."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from credstore_pipeline.core.cutover.triggers import triggers
from credstore_pipeline.core.errors import CredstoreError, ProofFailed, SourceBusy, SourceError
from credstore_pipeline.core.source.connect import file_uri, open_source
from credstore_pipeline.core.source.sqlite import error_name

WAIT_S = 10.0
_TODO_MOUNT = (
    "Mount the store's folder read-write for this job, or run the job where it is; until then nothing is frozen."
)


_LEFT = (
    "The process that held it could not take its triggers back: until the next cutover does, they may refuse the "
    "application's writes."
)


class Frozen:
    """The store while it is frozen."""

    def __init__(self, process: "subprocess.Popen[str]", path: Path) -> None:
        """Speak to the process that holds the lock."""
        self._process, self._path = process, path

    def clear_leftovers(self) -> int:
        """Take away triggers of a run that was killed with its machine, and tell how many; they are gone for good.

        To be called when it is known, under the lock, that no cutover stands: else they are that one's.
        """
        cleared: int = self._ask(do="clear")
        return cleared

    def block_writers(self) -> list[str]:
        """Install triggers that refuse writes; they go again unless `keep` is called. Names the tables."""
        tables: list[str] = self._ask(do="block")
        return tables

    def keep(self) -> None:
        """Let the triggers stand when this ends."""
        self._ask(do="keep")

    def freeze(self, wait_s: float) -> None:
        """Take the write lock."""
        self._ask(do="freeze", path=str(self._path), wait_s=wait_s)

    def release(self) -> None:
        """Give the lock back; triggers that were not kept are gone."""
        self._ask(do="release")

    def _ask(self, **command: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline())
        except (OSError, ValueError):
            raise SourceError(
                "source", "the process that holds it frozen has ended", todo="Launch the job again."
            ) from None
        if "wrong" not in answer:
            return answer["done"]
        if answer["kind"] == "busy":
            raise SourceBusy(
                "source",
                f"a writer or reader holds it locked ({answer['wrong']}).",
                todo="Run again when the application is quiet, or stop it.",
            )
        if answer["kind"] == "unwritable":
            raise _unwritable(self._path, answer["wrong"])
        raise SourceError("source", f"it cannot be frozen ({answer['wrong']})", todo="Check the file and its disk.")


@contextmanager
def frozen(path: Path, *, wait_s: float = WAIT_S) -> Iterator[Frozen]:
    """Hold the store's write lock while the block runs, proven by a second writer that is refused.

    Args:
        path: The store.
        wait_s: How long to wait for a writer at work.

    Raises:
        SourceError: If the store or its folder cannot be written to: a read-only mount, say.
        SourceBusy: If a writer does not let go.
        ProofFailed: If a second writer gets in.
    """
    real = _writable(path)
    process = _started()
    held = Frozen(process, real)
    try:
        held.freeze(wait_s)
        _prove(real)
        yield held
        held.release()
    except CredstoreError as error:
        if _ended(process):
            raise
        raise type(error)(error.where, error.wrong, state=error.state, todo=f"{error.todo} {_LEFT}".strip()) from None
    finally:
        _ended(process)


def _ended(process: "subprocess.Popen[str]") -> bool:
    """Let the process end, and tell whether it could take back what was not kept."""
    if process.stdin and not process.stdin.closed:
        with suppress(BrokenPipeError):
            process.stdin.close()
    ended = process.wait() == 0
    if process.stdout:
        process.stdout.close()
    return ended


def leftover_triggers(path: Path, copies: Path) -> list[str]:
    """Name triggers in the store that refuse writes; where no cutover stands, a run left them that was killed.

    Args:
        path: The store.
        copies: As for `open_source`.

    Raises:
        SourceError: If the store cannot be read.
    """
    with open_source(path, copies=copies) as source:
        return triggers(source.connection)


def _prove(path: Path) -> None:
    """A lock that holds refuses a second writer; on some network file systems none does."""
    with closing(sqlite3.connect(file_uri(path, "rw"), uri=True, timeout=0, isolation_level=None)) as second:
        try:
            second.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error_name(error).startswith("SQLITE_BUSY"):
                return
            raise SourceError("source", f"its lock cannot be proven ({error_name(error)})") from None
        second.execute("ROLLBACK")
    raise ProofFailed(
        "source",
        "a second writer got in although the lock is held: the file system does not keep SQLite's locks",
        state="The target is unchanged, and the store is not frozen.",
        todo="Stop every old container and run where the file's own disk is.",
    )


def _writable(path: Path) -> Path:
    try:
        real = path.resolve(strict=True)
    except OSError:
        raise SourceError("source", f"{path} cannot be found.", todo="Check CREDSTORE_SQLITE_PATH.") from None
    for place in (real, real.parent):
        if not os.access(place, os.W_OK):
            raise _unwritable(place, "no right to write")
    return real


def _unwritable(place: Path, why: str) -> SourceError:
    return SourceError("source", f"{place} is mounted or set read-only ({why})", todo=_TODO_MOUNT)


def _started() -> "subprocess.Popen[str]":
    # Nothing of our environment goes along: it may hold key strings. No site packages are needed.
    environment = {"PYTHONPATH": str(Path(__file__).parents[3])}
    if library_path := os.environ.get("LD_LIBRARY_PATH"):
        environment["LD_LIBRARY_PATH"] = library_path
    return subprocess.Popen(
        [sys.executable, "-S", "-P", "-m", "credstore_pipeline.core.cutover.holder"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # A Ctrl-C at the terminal ends the run; this process must outlive it to clean up.
        start_new_session=True,
    )
