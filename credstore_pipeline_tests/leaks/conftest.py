"""A server that logs all it is told, a role with a canary as password, and a lab full of canaries."""

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import psycopg2.extensions
import pytest
import sqlalchemy as sa

from credstore_pipeline.core.deployment import Target
from credstore_pipeline.embedded import EmbeddedServer, embedded_server
from credstore_pipeline_tests.conftest import THROWAWAY, drop_database
from credstore_pipeline_tests.lab import ALLOW_ALL, Lab
from credstore_pipeline_tests.leaks import canaries
from credstore_pipeline_tests.leaks.canaries import Found, needles, search, search_folder

TELLS_ALL = {
    "log_statement": "all",
    "log_error_verbosity": "verbose",
    "log_min_messages": "info",
    "log_min_error_statement": "info",
    "log_min_duration_statement": "0",
    "log_parameter_max_length": "-1",
    "log_parameter_max_length_on_error": "-1",
    "log_connections": "on",
    "log_disconnections": "on",
}
ROLE = "bird_keeper"

_numbers = itertools.count()


@dataclass
class Aviary:
    """A lab, its server, and the search of everything that a run leaves behind.

    Attributes:
        lab: The store's secrets and all settings are canaries.
        server: Logs every statement with its parameters.
        log_start: Where the server's log ended when the lab was made.
    """

    lab: Lab
    server: EmbeddedServer
    log_start: int

    def server_log(self) -> bytes:
        """What the server logged since."""
        return self.server.log_path.read_bytes()[self.log_start :]

    def tables(self) -> bytes:
        """Every row of every table of the pipeline's and of the application's, as text."""
        rows = []
        for schema, table in self.lab.sql(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'credstore_sync')"
        ):
            rows += [repr(row[0]) for row in self.lab.sql(f'SELECT t::text FROM "{schema}"."{table}" t')]
            rows += [repr(row[0]) for row in self.lab.sql(f'SELECT to_jsonb(t)::text FROM "{schema}"."{table}" t')]
        return "\n".join(rows).encode()

    def files(self, word: str = canaries.WORD) -> list[Found]:
        """Search everything that runs leave on this machine, but for snapshots, which hold what the source holds."""
        wanted = needles(word)
        folders = [self.lab.home, self.lab.folder / "output", self.lab.folder / "temporary"]
        return [found for folder in folders for found in search_folder(folder, wanted)]

    def database(self, word: str = canaries.WORD) -> list[Found]:
        """Search what the server logged and holds, rows and data files."""
        wanted = needles(word)
        found = search(self.server_log(), "server log", wanted)
        found += search(self.tables(), "tables", wanted)
        self.lab.sql("CHECKPOINT")
        return found + search_folder(self.server.home / "server" / "data", wanted)


@pytest.fixture(scope="session")
def telling_server() -> Iterator[EmbeddedServer]:
    """Run a server of this process's own; whoever logs in to it with a canary leaves only a digest there."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    base = Path(os.environ["CREDSTORE_TESTS_SERVER"]) / f"leaks-{worker}"
    with embedded_server(base, settings=THROWAWAY | TELLS_ALL) as server:
        url = server.url("postgres")
        place = {**url.query, "user": url.username, "password": url.password, "dbname": "postgres"}
        connection = psycopg2.connect(**place)
        connection.autocommit = True
        digest = psycopg2.extensions.encrypt_password(canaries.POSTGRES_PASSWORD, ROLE, connection, "scram-sha-256")
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE ROLE {ROLE} SUPERUSER LOGIN PASSWORD '{digest}'")
        connection.close()
        yield server


@pytest.fixture
def aviary(telling_server: EmbeddedServer, tmp_path: Path) -> Iterator[Callable[..., Aviary]]:
    """Make a lab around the canaries, on an empty database."""
    administrator = sa.create_engine(
        telling_server.url("postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
    )
    name = f"leaks_{next(_numbers)}"
    with administrator.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    url = telling_server.url(name).set(username=ROLE, password=canaries.POSTGRES_PASSWORD)
    (tmp_path / "temporary").mkdir()
    settings = {**canaries.settings(), **ALLOW_ALL, "TMPDIR": str(tmp_path / "temporary")}
    lab = Lab(tmp_path, Target(url), canaries.aviary(tmp_path / "store"), settings)

    yield Aviary(lab, telling_server, telling_server.log_path.stat().st_size)
    drop_database(administrator, name)
