"""A store on an empty database of the test's own, and plain SQL beside it."""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa

from credstore_pipeline.core.deployment import Target
from credstore_pipeline.embedded import EmbeddedServer
from credstore_pipeline.store import CredentialStore, StoreSettings
from credstore_pipeline_tests.conftest import drop_database

KEY = "a made-up key of the store"
QUICK = StoreSettings(pool_size=4, max_overflow=4, first_wait_s=0.02, longest_wait_s=0.2, jitter_s=0.02, retry_max_s=20)
"""Short pauses, so that tests do not wait."""

Sql = Callable[..., list[tuple[Any, ...]]]
NAMES = (f"store_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{number}" for number in itertools.count())


@contextmanager
def a_database(postgres: EmbeddedServer, administrator: sa.Engine) -> Iterator[Target]:
    name = next(NAMES)
    with administrator.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY FILE_COPY"))
    yield Target(postgres.url("postgres").set(database=name))
    drop_database(administrator, name)


@pytest.fixture(scope="session")
def shared(postgres: EmbeddedServer, administrator: sa.Engine) -> Iterator[Target]:
    """A database with the store's tables, made once."""
    with a_database(postgres, administrator) as target, CredentialStore(target.url, KEY) as store:
        store.initialize()
        store.close()
        yield target


@pytest.fixture
def own() -> None:
    """Ask for an empty database of the test's own."""


@pytest.fixture
def database(request: pytest.FixtureRequest, postgres: EmbeddedServer, administrator: sa.Engine) -> Iterator[Target]:
    """The database that the test's stores are in: one with empty tables, or an empty one for whoever asks for `own`."""
    if "own" in request.fixturenames:
        with a_database(postgres, administrator) as target:
            yield target
    else:
        yield request.getfixturevalue("shared")


@pytest.fixture
def make_store(database: Target) -> Iterator[Callable[..., CredentialStore]]:
    """Make stores on the test's database: `make_store(key, **options)`."""
    made: list[CredentialStore] = []

    def make(key: str = KEY, **options: Any) -> CredentialStore:
        options = {"settings": QUICK, **options}
        made.append(CredentialStore(options.pop("url", database.url), key, **options))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def store(make_store: Callable[..., CredentialStore], sql: Sql) -> CredentialStore:
    """A store whose tables are made, and empty."""
    store = make_store()
    if sql("SELECT to_regclass('public.credentials')") == [(None,)]:
        store.initialize()
    sql("DELETE FROM credential_tags; DELETE FROM credentials; DELETE FROM tags")
    return store


@pytest.fixture
def sql(database: Target) -> Iterator[Sql]:
    """Run a statement as any other program would, and return its rows."""
    connection = connect(database.url)
    connection.autocommit = True

    def run(statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    yield run
    connection.close()


def connect(url: sa.URL) -> Any:
    """Connect by the driver alone."""
    where = {"host": url.query.get("host", url.host), "port": url.query.get("port", url.port)}
    return psycopg2.connect(user=url.username, password=url.password, dbname=url.database, **where)
