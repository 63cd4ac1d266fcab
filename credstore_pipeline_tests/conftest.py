"""A real PostgreSQL for every test that asks for one: one server a test session, one fresh database a test."""

import contextlib
import itertools
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
import tenacity
from hypothesis import HealthCheck, settings

from credstore_pipeline.core.deployment import Target
from credstore_pipeline.embedded import EmbeddedServer, embedded_server
from credstore_pipeline.embedded.users import Membership

THROWAWAY = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "autovacuum": "off",
}
"""Settings of a server whose data nobody misses."""

MEMORY_BYTES = 2 << 30
"""Free memory from which on the server's folder lies there."""

PREFIX = "credstore-tests-"
LEFT_OVER_S = 3600

_numbers = itertools.count()

# How long an example takes says something of the machine alone; `make soak` draws other examples each time.
settings.register_profile(
    "tests",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CREDSTORE_SOAK_EXAMPLES" not in os.environ,
    database=None,
)
settings.load_profile("tests")


def pytest_configure(config: pytest.Config) -> None:
    """Choose the server's folder, once for all workers of this session; let what tests start take Ctrl+C."""
    # Whatever a shell starts in the background ignores it, and so would every process that a test starts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        # As root the server runs as another user, who has to pass through.
        base = tempfile.mkdtemp(prefix=PREFIX, dir=_quick_folder())
        _sweep(Path(base).parent)
        Path(base).chmod(0o711)
        os.environ["CREDSTORE_TESTS_SERVER"] = base
        # Every run writes Dagster's three databases, each with its syncs.
        if _quick_folder():
            os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_quick_folder()))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the server's folder after the last worker is done."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop("CREDSTORE_TESTS_SERVER", ""), ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove what killed sessions of more than an hour ago left; a server ends itself when its folder is gone."""
    for left in folder.glob(f"{PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):
            found = left.stat()
            if found.st_uid != os.geteuid() or time.time() - found.st_mtime < LEFT_OVER_S:
                continue
            if all(Membership(lock).leave() for lock in left.glob("*/users.lock")):
                shutil.rmtree(left, ignore_errors=True)


def _quick_folder() -> Path | None:
    """Prefer memory: a database is made there in 10 ms, and on a disk in 200."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > MEMORY_BYTES
    return memory if roomy else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedServer]:
    """Run one server, shared by all workers."""
    with embedded_server(Path(os.environ["CREDSTORE_TESTS_SERVER"]) / "server", settings=THROWAWAY) as server:
        yield server


@pytest.fixture(scope="session")
def administrator(postgres: EmbeddedServer) -> Iterator[sa.Engine]:
    """Connect as the superuser to the maintenance database, outside transactions."""
    url = postgres.url("postgres")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", pool_size=1)
    with engine.connect() as connection:
        # A login's four thousand hashes took longer than what most connections are for. One worker at a time.
        connection.exec_driver_sql("SELECT pg_advisory_lock(1)")
        connection.exec_driver_sql("SET scram_iterations = 1")
        connection.exec_driver_sql(f"ALTER ROLE \"{url.username}\" PASSWORD '{url.password}'")
        connection.exec_driver_sql("SELECT pg_advisory_unlock(1)")
    yield engine
    engine.dispose()


@tenacity.retry(stop=tenacity.stop_after_attempt(5), reraise=True)
def drop_database(administrator: sa.Engine, name: str) -> None:
    """Drop a test's database; the server ends the sessions that are left, and waits only 5 s for that."""
    with administrator.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def database(postgres: EmbeddedServer, administrator: sa.Engine) -> Iterator[Target]:
    """Make an empty database of the test's own, schema `public`, and drop it afterwards."""
    name = f"test_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{next(_numbers)}"
    with administrator.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY FILE_COPY"))
    yield Target(postgres.url("postgres").set(database=name))
    drop_database(administrator, name)


@pytest.fixture
def login(administrator: sa.Engine, database: Target) -> Iterator[Callable[..., Target]]:
    """Make roles of the test's own, without any right, that log in to its database: `login("NOINHERIT") -> Target`."""
    names: list[str] = []

    def make(options: str = "") -> Target:
        name = f"{database.url.database}_role_{len(names)}"
        names.append(name)
        with administrator.connect() as connection:
            connection.execute(sa.text(f"CREATE ROLE {name} LOGIN PASSWORD 'of a test' {options}"))
        return Target(database.url.set(username=name, password="of a test"), database.schema)

    yield make
    writing = {"options": "-c default_transaction_read_only=off"}
    engine = sa.create_engine(database.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool, connect_args=writing)
    with engine.connect() as connection:
        for name in names:
            connection.execute(sa.text(f"DROP OWNED BY {name}"))
            connection.execute(sa.text(f"DROP ROLE {name}"))
