"""One shell in which a page's blocks are typed, one after the other, by somebody with a place of their own."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from credstore_pipeline_tests.docs.blocks import ROOT, Block
from credstore_pipeline_tests.lab import OURS

SERVES_S = 300
AGAIN_S, STOPS_S = 45, 300


def clone(folder: Path) -> Path:
    """A working copy of the project as git has it, with what `make setup` installs, and nothing that anybody left."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in listed.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    venv = folder / ".venv"
    venv.mkdir()
    for part in Path(sys.prefix).iterdir():
        if part.name != ".ready":
            (venv / part.name).symlink_to(part)
    (venv / ".ready").touch()
    return folder


class Session:
    """A shell at work.

    Attributes:
        folder: Where it was opened.
        settings: Variables that its reader has set before.
        own: What a page writes -> what its reader writes in that place.
        log: What everything printed.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str], own: Mapping[str, str] | None = None) -> None:
        """Open it with those variables and none else that steers the pipeline, and with a home of its own."""
        self.folder, self.settings, self.own = folder, dict(settings), dict(own or {})
        self.log = folder / "session.log"
        home = folder / "home-of-the-reader"
        home.mkdir(exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        kept |= {"HOME": str(home), "PYTHONPATH": str(folder), "TERM": "dumb", "DAGSTER_DISABLE_TELEMETRY": "1"}
        kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
        self._shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=folder,
            env={**kept, **settings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._typed = self._serving = 0

    def run(self, block: Block, typed: str = "") -> str:
        """Type a block, and answer what it asks; returns what it printed.

        Raises:
            AssertionError: With what it printed, if it does not end as its page says.
        """
        file, answers, printed = (self._file(kind) for kind in ("sh", "in", "out"))
        file.write_text(self.text(block))
        answers.write_text(typed)
        self._say(f". {file} <{answers} >{printed} 2>&1; echo $?")
        code = self._shell.stdout.readline().strip()
        said = printed.read_text(errors="replace")
        with self.log.open("a") as log:
            log.write(f"$ {file.read_text()}{said}\n")
        assert code == str(block.code), f"{block.page}: {block.text}ended with {code}\n{said[-4000:]}"
        return said

    def serve(self, block: Block, url: str) -> None:
        """Type a block that goes on, and wait until there is an answer at the address."""
        file, printed = self._file("sh"), self._file("out")
        file.write_text(f"{self.text(block).rstrip()} >{printed} 2>&1 &\n")
        # Jobs get a group each, so that all of one can be interrupted.
        self._say(f"set -m; . {file}; set +m; echo $!")
        self._serving = int(self._shell.stdout.readline())
        until = time.monotonic() + SERVES_S
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(url, timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(1)
        raise AssertionError(f"{block.page}: {block.text}does not serve {url}\n{printed.read_text()[-4000:]}")

    def stop(self) -> None:
        """What serves is interrupted, as Ctrl+C does, with all that it started.

        Raises:
            AssertionError: If it goes on.
        """
        if self._serving:
            os.killpg(self._serving, signal.SIGINT)
            # A webserver waits for whoever is connected; a reader who has waited long types it again.
            again = threading.Timer(AGAIN_S, os.killpg, (self._serving, signal.SIGINT))
            late = threading.Timer(STOPS_S, os.killpg, (self._serving, signal.SIGKILL))
            again.start()
            late.start()
            self._say(f"wait {self._serving} 2>/dev/null; echo")
            self._shell.stdout.readline()
            self._serving = 0
            again.cancel()
            assert late.is_alive(), f"what {self.folder} serves does not end at Ctrl+C"
            late.cancel()

    def text(self, block: Block) -> str:
        """The block as its reader types it."""
        text = block.text
        for written, own in self.own.items():
            text = text.replace(written, own)
        return text

    def close(self) -> None:
        """End the shell and everything that it started."""
        self.stop()
        self._shell.stdin.close()
        self._shell.wait(120)

    def _file(self, kind: str) -> Path:
        self._typed += 1
        return self.folder / f"typed-{self._typed:02}.{kind}"

    def _say(self, line: str) -> None:
        self._shell.stdin.write(f"{line}\n")
        self._shell.stdin.flush()
