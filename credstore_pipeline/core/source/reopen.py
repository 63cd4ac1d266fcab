"""A finished copy read anew, from a fresh connection; for a large one in a process of its own.

`python -m credstore_pipeline.core.source.reopen` is that process: it gets path, shape and key as one line on
stdin, answers with one line on stdout, and ends when its stdin ends. It imports the standard library alone.
"""

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from credstore_pipeline.core.errors import SnapshotNotProven, SourceError
from credstore_pipeline.core.source.connect import file_uri
from credstore_pipeline.core.source.digest import ContentDigest, content_digest
from credstore_pipeline.core.source.inspect import SourceShape
from credstore_pipeline.core.source.sqlite import sqlite_errors

OWN_PROCESS_BYTES = 16 << 20
"""From this size on a copy is read in a process of its own, while its source is read here."""

_PROBLEMS_MAX = 100
_MAP_BYTES = 256 << 20


@dataclass(frozen=True)
class ReadBack:
    """What a copy's file holds.

    Attributes:
        problems: Lines of complaint from `PRAGMA integrity_check`; counted up to 100.
        journal_mode: As the file's header says; `delete` stands alone, `wal` would need files beside it.
        digest: Of its tables.
    """

    problems: int
    journal_mode: str
    digest: ContentDigest


def read_back(path: Path, shape: SourceShape, key: bytes) -> ReadBack:
    """Read a copy: its integrity and its content.

    Raises:
        SnapshotNotProven: If SQLite cannot read it.
    """
    try:
        with sqlite_errors("copy"), closing(sqlite3.connect(file_uri(path), uri=True, isolation_level=None)) as copy:
            # integrity_check jumps about: half its time. Never on the source, which may be cut short under a map.
            copy.execute(f"PRAGMA mmap_size = {_MAP_BYTES}")
            lines = copy.execute(f"PRAGMA integrity_check({_PROBLEMS_MAX})").fetchall()
            problems = 0 if lines == [("ok",)] else len(lines)
            mode = copy.execute("PRAGMA journal_mode").fetchone()[0]
            return ReadBack(problems, mode, content_digest(copy, shape, key))
    except SourceError as error:
        raise _unreadable(error.wrong) from None


@contextmanager
def reading_back(
    path: Path, shape: SourceShape, key: bytes, *, own_process_bytes: int = OWN_PROCESS_BYTES
) -> Iterator[Callable[[], ReadBack]]:
    """Begin to read a copy back, and give the function that waits for the answer.

    A large copy is read in a process of its own, which is gone when this ends; a small one when it is asked for.

    Raises:
        SnapshotNotProven: From the function, if the copy cannot be read or the process died.
    """
    process = _started(path, shape, key) if path.stat().st_size >= own_process_bytes else None
    if process is None:
        yield lambda: read_back(path, shape, key)
        return
    try:
        yield lambda: _answer(process)
    finally:
        process.kill()
        process.wait()
        assert process.stdin
        assert process.stdout
        process.stdout.close()
        with suppress(BrokenPipeError):  # of a request that was never read
            process.stdin.close()


def _started(path: Path, shape: SourceShape, key: bytes) -> "subprocess.Popen[bytes] | None":
    request = {"path": str(path.absolute()), "shape": shape.as_json(), "key": key.hex()}
    # Nothing of our environment goes along: it may hold key strings. No site packages are needed.
    environment = {"PYTHONPATH": str(Path(__file__).parents[3])}
    if library_path := os.environ.get("LD_LIBRARY_PATH"):
        environment["LD_LIBRARY_PATH"] = library_path
    command = [sys.executable, "-S", "-P", "-m", "credstore_pipeline.core.source.reopen"]
    try:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError:  # no room for a process, or no right to start one: it is done here, later
        return None
    assert process.stdin
    with suppress(BrokenPipeError):  # it died at once; the missing answer tells
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
    return process


def _answer(process: "subprocess.Popen[bytes]") -> ReadBack:
    assert process.stdout
    line = process.stdout.readline()
    try:
        answer: dict[str, Any] = json.loads(line)
    except ValueError:
        raise SnapshotNotProven(
            "snapshot",
            f"the process that read the copy back ended with {process.wait()} and no answer.",
            todo="Run again.",
        ) from None
    if "wrong" in answer:
        raise _unreadable(answer["wrong"])
    return ReadBack(**{**answer, "digest": ContentDigest.from_json(answer["digest"])})


def _unreadable(wrong: str) -> SnapshotNotProven:
    return SnapshotNotProven("snapshot", wrong, todo="Check the disk of CREDSTORE_BACKUP_DIR.")


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def main() -> None:
    """Answer one request."""
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    shape = SourceShape.from_json(request["shape"])
    try:
        found = read_back(Path(request["path"]), shape, bytes.fromhex(request["key"]))
    except SnapshotNotProven as error:
        answer: dict[str, Any] = {"wrong": error.wrong}
    else:
        answer = {**vars(found), "digest": found.digest.as_json()}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
