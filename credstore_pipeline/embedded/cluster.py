"""One database cluster: made, started, recognised, stopped. Call under the start lock."""

import contextlib
import os
import secrets
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from credstore_pipeline.core.errors import EmbeddedServerError
from credstore_pipeline.embedded.account import Account
from credstore_pipeline.embedded.home import Home, own_folder

SUPERUSER = "credstore"
START_MAX_S = 60
END_MAX_S = 10
ORPHAN_TRIES = 40
ORPHAN_PAUSE_S = 0.25
NO_PROCESS = 2**31 - 1
"""More than any process number."""
SOCKET_PORT = 5432
"""Only names the socket's file when there is no TCP port."""

SETTINGS = {"shared_buffers": "256MB", "maintenance_work_mem": "128MB", "max_wal_size": "2GB", "log_timezone": "UTC"}


@dataclass(frozen=True)
class Cluster:
    """A cluster in its home, with the programs that run it and the user they run as."""

    home: Home
    account: Account
    binaries: Path

    def create(self, *, durable: bool) -> None:
        """Make the cluster if there is none: scram for every connection, a random password in a 0600 file.

        Args:
            durable: Whether to wait until it is on the disk.

        Raises:
            EmbeddedServerError: If initdb fails, or a cluster is there and its password is not.
        """
        if self.home.data.exists():
            if not self.home.password.exists():
                raise self._error(
                    f"its password is missing in {self.home.password}.", "Bring it back, or move the folder away."
                )
            return
        password = secrets.token_urlsafe(32)
        handed_over = self.home.server / "password.new"
        # A name of its own: the initdb of a killed process may still be at work.
        unfinished = self.home.server / f"data.{secrets.token_hex(4)}.new"
        leftovers = list(self.home.server.glob("data.*new"))
        _write_private(self.home.password, password)
        _write_private(handed_over, password, self.account)
        try:
            # The cluster gets its name when it is complete, so that a killed initdb leaves nothing that looks like one.
            if leftovers:
                self.account.run(["rm", "-rf", *leftovers], self.home.server)
            done = self.account.run(
                [
                    *(self.binaries / "initdb", "--pgdata", unfinished, "--username", SUPERUSER),
                    *("--auth", "scram-sha-256", "--pwfile", handed_over),
                    *("--encoding", "UTF8", "--locale", "C"),
                    *(() if durable else ("--no-sync",)),
                ],
                self.home.server,
            )
        finally:
            handed_over.unlink()
        if done.returncode:
            raise self._error(f"initdb failed with exit code {done.returncode}.", "Is the disk full, or read-only?")
        unfinished.rename(self.home.data)

    def is_running(self) -> bool:
        """Whether a server of this very cluster runs; the leftover of a dead one does not count."""
        pid = self.pid
        return pid is not None and self._is_ours(pid)

    def start(self, port: int | None, settings: Mapping[str, str]) -> None:
        """Start the server; whether it takes connections by then is for `await_ready` to say.

        Args:
            port: A TCP port on loopback, or None for the socket alone.
            settings: Further settings of the server by name.

        Raises:
            EmbeddedServerError: If it does not start, naming its log; or the socket's folder is somebody else's.
        """
        # Not sooner: the last user takes it away, and may leave only now.
        own_folder(self.home.sockets, self.account.uid, self.account.gid, 0o700)
        left_behind = self.home.data.joinpath("postmaster.pid").exists()
        if left_behind:
            self._disown_locks()
        options = {
            **SETTINGS,
            **settings,
            "unix_socket_directories": str(self.home.sockets),
            "unix_socket_permissions": "0700",
            "listen_addresses": "127.0.0.1" if port else "",
            "port": str(port or SOCKET_PORT),
        }
        words = " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in options.items())
        start = ("start", "--log", self.home.log, "--wait", "--timeout", str(START_MAX_S), "--options", words)
        # Parts of a server that was killed live on for a moment, and keep the next one out.
        for _ in range(ORPHAN_TRIES if left_behind else 1):
            # Slower than that, it still starts; a second one would only be kept out by it.
            if self._control(*start).returncode == 0 or self.is_running():
                return
            time.sleep(ORPHAN_PAUSE_S)
        raise self._error(f"the server does not start; {self.home.log} says why.", "Is its port or memory taken?")

    def stop(self) -> None:
        """Stop the server, ending every connection; whoever was in a transaction is rolled back."""
        pid = self.pid if self.is_running() else None
        for mode in ("fast", "immediate"):
            # Asked before each: pg_ctl signals whatever process has the number.
            if self.is_running():
                self._control("stop", "--mode", mode, "--wait", "--timeout", "30")
        if self.is_running():
            raise self._error("the server does not stop.", f"End the process {self.pid}.")
        # It takes its pid file away, and then its command line, a moment before it ends.
        _await(lambda: pid is None or not _lives(pid), END_MAX_S)
        if self.home.sockets.parent != self.home.server:
            # A server that was killed left its socket in it.
            shutil.rmtree(self.home.sockets, ignore_errors=True)

    @property
    def pid(self) -> int | None:
        """The server's process as its pid file has it, alive or not."""
        lines = self._pid_file()
        return int(lines[0]) if lines and lines[0].strip().isdigit() else None

    @property
    def port(self) -> int | None:
        """The TCP port of the running server, or None if it listens on its socket alone."""
        lines = self._pid_file()
        return int(lines[3]) if len(lines) > 5 and lines[5].strip() else None

    @property
    def socket_port(self) -> int:
        """The number in the name of the running server's socket."""
        lines = self._pid_file()
        return int(lines[3]) if len(lines) > 3 else SOCKET_PORT

    def await_ready(self) -> bool:
        """Wait until the running server takes connections; False if it ends instead, as one does that was told to stop.

        Raises:
            EmbeddedServerError: If it does neither within START_MAX_S.
        """
        _await(lambda: self._is_ready() or not self.is_running(), START_MAX_S)
        if self.is_running() and not self._is_ready():
            raise self._error(
                f"the server has been starting or stopping for {START_MAX_S} s; {self.home.log} says how far it is.",
                "Run again when it is done.",
            )
        return self.is_running()

    def _is_ready(self) -> bool:
        return self.is_running() and "ready" in (self._pid_file()[7:] or [""])[0]

    def _disown_locks(self) -> None:
        """Have the lock files of a dead server name no process: theirs may be another program's since, or unreaped.

        They are not deleted, because the server also learns from them whether parts of its predecessor live.
        """
        socket_lock = f".s.PGSQL.{self.socket_port}.lock"
        for path in (self.home.data / "postmaster.pid", self.home.sockets / socket_lock):
            with contextlib.suppress(FileNotFoundError):
                lines = path.read_text().splitlines()
                if not lines:  # a full disk or a killed process left it so; no server starts on it
                    path.unlink()
                    continue
                text = "\n".join([str(NO_PROCESS), *lines[1:]]) + "\n"
                # Never empty in between: no number is longer than this one.
                with os.fdopen(os.open(path, os.O_WRONLY | os.O_NOFOLLOW), "wb") as file:
                    file.write(text.encode())
                    file.truncate()

    def _pid_file(self) -> list[str]:
        try:
            return self.home.data.joinpath("postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _is_ours(self, pid: int) -> bool:
        command = Path("/proc") / str(pid) / "cmdline"
        if command.parent.parent.joinpath("self").exists():
            try:
                words = command.read_bytes().split(b"\0")
            except OSError:
                return False
        else:
            listed = subprocess.run(["ps", "-p", str(pid), "-o", "command="], capture_output=True, check=False)
            words = listed.stdout.split()
        return os.fsencode(self.home.data) in words

    def _control(self, *words: str | Path) -> "subprocess.CompletedProcess[bytes]":
        return self.account.run([self.binaries / "pg_ctl", "--pgdata", self.home.data, *words], self.home.server)

    def _error(self, wrong: str, todo: str) -> EmbeddedServerError:
        return EmbeddedServerError(f"embedded PostgreSQL, {self.home.root}", wrong, todo=todo)


def _lives(pid: int) -> bool:
    """Whether a process has not ended yet; one that nobody has waited for yet has."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    try:
        os.kill(pid, 0)
    except OSError as error:
        # Another user's process may not be signalled.
        return isinstance(error, PermissionError)
    return True


def _await(done: Callable[[], bool], max_s: float) -> None:
    deadline = time.monotonic() + max_s
    while not done() and time.monotonic() < deadline:
        time.sleep(0.05)


def _write_private(path: Path, text: str, owner: Account | None = None) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        if owner:
            os.fchown(descriptor, owner.uid, owner.gid)
        file.write(text)
