"""What the tests of the target share: an engine on an empty database, and statements run at once."""

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from credstore_pipeline.core.deployment import Target
from credstore_pipeline.core.target.connect import make_engine, transaction


@pytest.fixture
def engine(database: Target) -> sa.Engine:
    """Give an engine as the pipeline makes it."""
    return make_engine(database, "4f0c7a1e-0000-4000-8000-000000000001")


@pytest.fixture
def execute(engine: sa.Engine) -> Callable[..., None]:
    """Run statements (`{schema}` is public unless told otherwise) and commit them."""

    def run(statements: str, schema: str = "public") -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql(statements.replace("{schema}", schema))

    return run


@pytest.fixture
def connection(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Give a connection in a settled transaction, committed at the test's end."""
    with transaction(engine, "a test", "public") as connection:
        yield connection
