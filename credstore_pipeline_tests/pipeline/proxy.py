"""A socket between a run and its database that can lose the connection at the load's COMMIT."""

import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sqlalchemy.engine import URL

from credstore_pipeline.core.deployment import Target

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
LOAD = b"INSERT INTO credstore_sync.runs"
NAME = ".s.PGSQL.5432"

When = Literal["before", "during", "after"]


@dataclass
class Proxy:
    """Forwards everything, but for one COMMIT.

    Attributes:
        target: The database as seen through it.
        when: Whether that COMMIT is lost on its way to the server, its answer on the way back, or the run's side of
            the connection while the server works on it, which does not notice.
        hold: Keep both sides waiting instead of closing the connection.
        marks: A statement by which the transaction is known whose COMMIT it is.
        reached: Set when it happened.
    """

    target: Target
    when: When
    hold: bool
    server: str
    marks: bytes = LOAD
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def serve(self, listener: socket.socket) -> None:
        """Take connections until the listener is closed."""
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self.server)
            writing = threading.Event()
            for side in (self._to_server, self._to_client):
                threading.Thread(target=side, args=(client, server, writing), daemon=True).start()

    def _to_server(self, client: socket.socket, server: socket.socket, writing: threading.Event) -> None:
        is_load = False
        with suppress(OSError):
            while sent := client.recv(1 << 16):
                is_load = is_load or self.marks in sent
                if is_load and COMMIT in sent and not self.reached.is_set():
                    if self.when == "during":
                        server.sendall(sent)
                        self.reached.set()
                        _close(client)
                        return
                    if self.when == "after":
                        writing.set()
                        server.sendall(sent)
                        return
                    self._lose(client, server)
                    return
                server.sendall(sent)
        _close(server)

    def _to_client(self, client: socket.socket, server: socket.socket, writing: threading.Event) -> None:
        with suppress(OSError):
            while sent := server.recv(1 << 16):
                if writing.is_set():
                    # The server has committed: this is its answer.
                    self._lose(client, server)
                    return
                client.sendall(sent)
        _close(client)

    def _lose(self, client: socket.socket, server: socket.socket) -> None:
        self.reached.set()
        if self.hold:
            self.released.wait()
        _close(client)
        _close(server)


@contextmanager
def lossy(target: Target, when: When, *, hold: bool = False, marks: bytes = LOAD) -> Iterator[Proxy]:
    """Stand between a run and the target for as long as the block lasts."""
    # Beside pytest's folders, whose paths are too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="credstore-proxy-"))
    query = target.url.query
    through: URL = target.url.update_query_dict({"host": str(folder), "port": "5432"})
    proxy = Proxy(Target(through, target.schema), when, hold, f"{query['host']}/.s.PGSQL.{query['port']}", marks)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / NAME))
    listener.listen()
    accepting = threading.Thread(target=proxy.serve, args=(listener,), daemon=True)
    accepting.start()
    try:
        yield proxy
    finally:
        proxy.released.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()
        shutil.rmtree(folder)


def _close(side: socket.socket) -> None:
    # Shut down first: a thread may be reading from it.
    with suppress(OSError):
        side.shutdown(socket.SHUT_RDWR)
    side.close()
