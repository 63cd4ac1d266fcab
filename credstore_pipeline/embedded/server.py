"""The server as its users see it: enter, get a URL, leave."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2 import errorcodes
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT, quote_ident
from sqlalchemy.engine import URL

from credstore_pipeline.core.errors import EmbeddedServerError
from credstore_pipeline.embedded.account import server_account
from credstore_pipeline.embedded.binaries import find_binaries
from credstore_pipeline.embedded.cluster import SUPERUSER, Cluster
from credstore_pipeline.embedded.home import default_base, open_home
from credstore_pipeline.embedded.users import Membership, only_one


@dataclass(frozen=True, repr=False)
class EmbeddedServer:
    """A running server.

    Attributes:
        home: Its folder; as root this is not always the one that was asked for (`embedded.home.open_home`).
        log_path: The server's log, for whoever has to look why it does not start.
        socket_dir: The folder of its socket.
        port: Its TCP port on loopback, or None.
        pid: Its main process.
    """

    home: Path
    log_path: Path
    socket_dir: Path
    port: int | None
    pid: int
    _socket_port: int
    _password: str

    def url(self, database: str = "netraven") -> URL:
        """Make sure that the database is there, and tell how to reach it.

        Returns:
            A `postgresql+psycopg2://` URL with the superuser's password; through TCP if the server has a port.
        """
        try:
            self._create(database)
        except psycopg2.Error as error:
            # Another process may have made it meanwhile.
            if error.pgcode not in (errorcodes.DUPLICATE_DATABASE, errorcodes.UNIQUE_VIOLATION):
                raise EmbeddedServerError(
                    f"embedded PostgreSQL, {self.home}",
                    f"the database cannot be reached or created (SQLSTATE {error.pgcode or 'none'}).",
                    todo=f"See {self.log_path}; does {self.home / 'password'} belong to this server?",
                ) from None
        place = self._place(database)
        if self.port is None:
            query = {"host": str(place["host"]), "port": str(place["port"])}
            return URL.create("postgresql+psycopg2", SUPERUSER, self._password, database=database, query=query)
        return URL.create("postgresql+psycopg2", SUPERUSER, self._password, "127.0.0.1", self.port, database)

    def _create(self, database: str) -> None:
        connection = psycopg2.connect(**self._place("postgres"), connect_timeout=10)
        try:
            connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
                if cursor.fetchone() is None:
                    cursor.execute(f"CREATE DATABASE {quote_ident(database, cursor)} TEMPLATE template0")
        finally:
            connection.close()

    def _place(self, database: str) -> dict[str, str | int]:
        return {
            "host": str(self.socket_dir) if self.port is None else "127.0.0.1",
            "port": self._socket_port,
            "user": SUPERUSER,
            "password": self._password,
            "dbname": database,
        }

    def __repr__(self) -> str:
        """Show the folder alone."""
        return f"EmbeddedServer({self.home})"


@contextlib.contextmanager
def embedded_server(
    base: Path | None = None, *, port: int | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[EmbeddedServer]:
    """Hold a running server for as long as the block lasts; the last of all processes to leave stops it.

    A process that is killed leaves too: the server it leaves behind is taken over by the next user.

    Args:
        base: The server's folder; made if it is missing.
        port: A TCP port on loopback; without it there is the socket alone.
        settings: Further settings; they count for whoever starts the server, a running one keeps its own.

    Raises:
        EmbeddedServerError: If it cannot be found, made or started, or runs without the port asked for.
    """
    account, wanted = server_account(), settings or {}
    home = open_home((base or default_base()).absolute(), account)
    with only_one(home.root / "start.lock"):
        cluster = Cluster(home, account, find_binaries(account, home.data))
        cluster.create(durable=wanted.get("fsync") != "off")
        member = Membership(home.root / "users.lock")
        try:
            # One whose last user was killed while it stopped it runs for a moment yet.
            while not (cluster.is_running() and cluster.await_ready()):
                cluster.start(port, wanted)
            server = _describe(cluster, port)
        except BaseException:
            if member.leave():  # else it would run on with nobody to stop it
                with contextlib.suppress(EmbeddedServerError):
                    cluster.stop()
            raise
    try:
        yield server
    finally:
        with only_one(home.root / "start.lock"):
            if member.leave():
                cluster.stop()


def _describe(cluster: Cluster, port: int | None) -> EmbeddedServer:
    home, pid = cluster.home, cluster.pid
    if pid is None or (port and cluster.port != port):
        raise EmbeddedServerError(
            f"embedded PostgreSQL, {home.root}",
            f"it runs already, and {f'on TCP port {cluster.port}' if cluster.port else 'without a TCP port'}.",
            todo="Ask for the same port as its other users, or wait until they are done.",
        )
    password = home.password.read_text()
    return EmbeddedServer(home.root, home.log, home.sockets, cluster.port, pid, cluster.socket_port, password)
