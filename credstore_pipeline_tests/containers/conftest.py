"""The two roles of docker/sql/roles.sql in a database of the test's own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

from credstore_pipeline.core.deployment import Target
from credstore_pipeline_tests.lab import ROOT, Lab, make_lab

DOCKER = ROOT / "docker"
PASSWORD = "of a test"
ONE_AT_A_TIME = 20260731
"""Roles belong to the whole server, which several workers share."""


class Roles(NamedTuple):
    """The database as each role logs in to it."""

    migrator: Target
    app: Target


@pytest.fixture
def execute(database: Target) -> Callable[..., list[tuple[Any, ...]]]:
    """Run statements as the administrator."""

    def run(statements: str) -> list[tuple[Any, ...]]:
        engine = sa.create_engine(database.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            result = connection.exec_driver_sql(statements)
            return [tuple(row) for row in result] if result.returns_rows else []

    return run


@pytest.fixture
def roles(database: Target, administrator: sa.Engine, execute: Callable[..., Any]) -> Callable[[], Roles]:
    """Run roles.sql as it is, and give the roles a password."""

    def make() -> Roles:
        with administrator.connect() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({ONE_AT_A_TIME})")
            try:
                execute((DOCKER / "sql" / "roles.sql").read_text().replace("%", "%%"))
                execute(f"REVOKE ALL ON DATABASE {database.url.database} FROM PUBLIC")
                for name in ("credstore_migrator", "credstore_app"):
                    execute(f"ALTER ROLE {name} PASSWORD '{PASSWORD}'")
            finally:
                connection.exec_driver_sql(f"SELECT pg_advisory_unlock({ONE_AT_A_TIME})")
        return Roles(
            *(
                Target(database.url.set(username=name, password=PASSWORD), database.schema)
                for name in ("credstore_migrator", "credstore_app")
            )
        )

    return make


@pytest.fixture
def lab(tmp_path: Path, database: Target) -> Callable[..., Lab]:
    """Make a lab with a store of the named flavour: `lab("mixed")`."""
    return lambda flavour: make_lab(tmp_path, database, flavour)
