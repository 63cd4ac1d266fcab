"""A seeding of a database of the test's own."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from credstore_pipeline.core.deployment import KeyMaterial, Target
from credstore_pipeline.core.seeding.plan import Seeding, default_credentials

KEY = "a made-up target key"
PASSWORDS = {"Admin": "made-up one", "Backup": "made-up two", "Monitor": "made-up three"}


@pytest.fixture
def seeding(database: Target) -> Callable[..., Seeding]:
    """Describe a seeding with all three passwords, or as told."""
    whole = Seeding(database, KeyMaterial(KEY), credentials=default_credentials(PASSWORDS), lock_wait_s=0.5)
    return lambda **told: replace(whole, **told)


@pytest.fixture
def sql(database: Target) -> Callable[..., list[tuple[Any, ...]]]:
    """Run one statement as an operator would."""

    def run(statement: str, *values: object) -> list[tuple[Any, ...]]:
        engine = sa.create_engine(database.url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            result = connection.exec_driver_sql(statement, values or None)
            return [tuple(row) for row in result] if result.returns_rows else []

    return run
