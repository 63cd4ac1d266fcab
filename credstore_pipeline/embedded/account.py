"""Which system user the server runs as: PostgreSQL refuses root."""

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from credstore_pipeline.core.errors import EmbeddedServerError

STAND_INS = ("postgres", "nobody")
"""System users that the server runs as when we are root, the first that exists."""


@dataclass(frozen=True)
class Account:
    """The system user of the server's processes and of its data folder."""

    uid: int
    gid: int

    @property
    def is_stand_in(self) -> bool:
        """Whether that is somebody else than this process."""
        return self.uid != os.geteuid()

    def run(self, command: Sequence[str | Path], folder: Path) -> "subprocess.CompletedProcess[bytes]":
        """Run a command to its end as this user, with an environment that carries nothing of ours.

        Args:
            command: Program and arguments.
            folder: The working folder; one this user may enter.
        """
        environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", "HOME": str(folder)}
        return subprocess.run(
            [str(part) for part in command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            # The server inherits these: a pipe here would be kept open, and waited for, as long as it runs.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            umask=0o077,
            user=self.uid if self.is_stand_in else None,
            group=self.gid if self.is_stand_in else None,
            extra_groups=() if self.is_stand_in else None,
        )

    def reaches(self, path: Path) -> bool:
        """Whether this user can enter the folder, or read the file, through all its parents."""
        if not self.is_stand_in:
            return os.access(path, os.R_OK | os.X_OK if path.is_dir() else os.R_OK)
        wanted = "-x" if path.is_dir() else "-r"
        return self.run(["test", wanted, path], Path("/")).returncode == 0


def server_account() -> Account:
    """Find the system user for the server.

    Raises:
        EmbeddedServerError: If we are root and there is no user to stand in, or our user id has no name.
    """
    if os.geteuid() != 0:
        try:
            pwd.getpwuid(os.geteuid())
        except KeyError:
            raise EmbeddedServerError(
                "embedded PostgreSQL",
                f"the user id {os.geteuid()} has no name in the system's list of users, and initdb demands one.",
                todo="Run as a user that the system knows, or set CREDSTORE_POSTGRES_URL to a server of your own.",
            ) from None
        return Account(os.geteuid(), os.getegid())
    for name in STAND_INS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedServerError(
        "embedded PostgreSQL",
        f"it does not run as root, and none of the users {', '.join(STAND_INS)} exists.",
        todo="Run as another user, or set CREDSTORE_POSTGRES_URL to a server of your own.",
    )
