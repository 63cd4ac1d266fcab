"""Runs a command to its end and tells how long it took and how much memory it and its children held."""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_S = 0.2


@dataclass(frozen=True)
class Measured:
    """One command that has ended.

    Attributes:
        exit_code: As the shell sees it.
        seconds: Wall time.
        cpu_seconds: Processor time of it and its children, the server's not included.
        largest_mb: Peak resident memory of the largest single process of the tree.
        together_mb: Peak of the whole tree at one moment, pages that processes share counted once; sampled.
    """

    exit_code: int
    seconds: float
    cpu_seconds: float
    largest_mb: float
    together_mb: float

    @property
    def peak_mb(self) -> float:
        """The larger of the two: sampling may miss a short peak of one process."""
        return max(self.largest_mb, self.together_mb)


def measure(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Measured:
    """Run the command, its output in `log`, and measure the whole tree of its processes."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        began = time.monotonic()
        process = subprocess.Popen(command, env=dict(environment), stdout=output, stderr=subprocess.STDOUT)
        sampler = _Sampler(process.pid)
        sampler.start()
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        sampler.end()
    cpu = used.ru_utime + used.ru_stime
    return Measured(process.returncode, seconds, cpu, sampler.largest_kb / 1024, sampler.together_kb / 1024)


class _Sampler(threading.Thread):
    """Adds up the tree's memory every `SAMPLE_S` seconds and keeps the highest sum, and each process's own peak.

    Not getrusage: what it tells of a child starts at what the parent held when it forked.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self._ended = pid, threading.Event()
        self.largest_kb = self.together_kb = 0

    def run(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            tree = _tree(self._pid)
            self.largest_kb = max(self.largest_kb, *(_kb(pid, "status", "VmHWM:") for pid in tree))
            self.together_kb = max(self.together_kb, sum(_kb(pid, "smaps_rollup", "Pss:") for pid in tree))

    def end(self) -> None:
        self._ended.set()
        self.join()


def _tree(root: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The command's name stands in brackets and may hold blanks.
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, waiting = set(), [root]
    while waiting:
        pid = waiting.pop()
        found.add(pid)
        waiting += children.get(pid, [])
    return found


def _kb(pid: int, file: str, name: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)
