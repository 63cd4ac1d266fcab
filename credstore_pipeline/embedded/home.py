"""The folder that everything of one embedded server lies in."""

import errno
import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from credstore_pipeline.core.errors import EmbeddedServerError
from credstore_pipeline.embedded.account import Account

SOCKET_PATH_MAX_BYTES = 107 - len("/.s.PGSQL.65535")
"""What the kernel leaves for a socket's folder."""


@dataclass(frozen=True)
class Home:
    """Where one server's files are.

    `root` is this user's. `server` below it is the server's own: when we are root that is another user, who may pass
    through `root` but not list it, nor read the password or hold the locks.
    """

    root: Path

    @property
    def password(self) -> Path:
        """The superuser's password, 0600."""
        return self.root / "password"

    @property
    def server(self) -> Path:
        """The server's own folder, 0700."""
        return self.root / "server"

    @property
    def data(self) -> Path:
        """The database cluster, 0700."""
        return self.server / "data"

    @property
    def log(self) -> Path:
        """The server's log, 0600."""
        return self.server / "server.log"

    @property
    def sockets(self) -> Path:
        """The folder of the server's socket, 0700; a short one elsewhere if ours has too long a path."""
        folder = self.server / "socket"
        if len(os.fsencode(folder)) <= SOCKET_PATH_MAX_BYTES:
            return folder
        return Path("/tmp") / f"credstore-{os.geteuid()}-{_digest(self.root)}"  # noqa: S108  checked by own_folder


def default_base() -> Path:
    """Where the server lives unless told otherwise: never below a folder that holds snapshots, staging or keys."""
    if os.geteuid() == 0:
        return shared_root() / "server"
    data_home = os.environ.get("XDG_DATA_HOME")
    return (Path(data_home) if data_home else Path.home() / ".local" / "share") / "credstore-embedded"


def shared_root() -> Path:
    """A folder of root's that other users may pass through; made here if it is missing."""
    root = Path("/var/lib/credstore-embedded")
    return root if os.access(root.parent, os.W_OK) else Path("/var/tmp/credstore-embedded-0")  # noqa: S108  checked


def open_home(base: Path, account: Account) -> Home:
    """Make the folders, with their owners and modes; no parent folder's mode is ever changed. The socket's comes later.

    A base that the server's user cannot reach (below /root, say) stands for a folder of its own below `shared_root`.

    Raises:
        EmbeddedServerError: If a folder that is there already belongs to somebody else.
    """
    passable = 0o711 if account.is_stand_in else 0o700
    nearest = next(folder for folder in (base, *base.parents) if folder.is_dir())
    if account.is_stand_in and not account.reaches(nearest):
        own_folder(shared_root(), os.geteuid(), os.getegid(), passable)
        base = shared_root() / f"server-{_digest(base)}"
    elif account.is_stand_in and shared_root() in base.parents:
        own_folder(shared_root(), os.geteuid(), os.getegid(), passable)  # whatever our umask is
    base.parent.mkdir(parents=True, exist_ok=True)
    home = Home(base)
    own_folder(home.root, os.geteuid(), os.getegid(), passable)
    own_folder(home.server, account.uid, account.gid, 0o700)
    return home


def own_folder(path: Path, uid: int, gid: int, mode: int) -> None:
    """Make a folder with this owner and mode, or make sure that the one there is such a one.

    Raises:
        EmbeddedServerError: If it is a link, no folder, somebody else's, or writable by others.
    """
    if not os.path.lexists(path):
        _make_whole(path, uid, gid, mode)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o022:
        raise EmbeddedServerError(
            f"embedded PostgreSQL, {path}",
            "this has to be the server's own folder; it is a link, a file, somebody else's or writable by others.",
            todo="Remove it, or choose another folder.",
        )


def _make_whole(path: Path, uid: int, gid: int, mode: int) -> None:
    """Make the folder aside and put it in place with its owner and mode: whoever comes meanwhile sees all or nothing.

    Two who do so at once replace an empty folder by its like; one that is in use already stays.
    """
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        os.chown(aside, uid, gid)
        aside.chmod(mode)
        aside.rename(path)
    except OSError as error:
        aside.rmdir()
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:12]
