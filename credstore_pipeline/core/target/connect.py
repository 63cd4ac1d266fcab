"""Connections to the target, and what each transaction on them needs to be sure of."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import sqlalchemy as sa

from credstore_pipeline.core.deployment import Target
from credstore_pipeline.core.target.failures import boundary, commit_boundary

DRIVER = "postgresql+psycopg2"
"""Named in full: SQLAlchemy takes a bare `postgresql` for another driver."""
CONNECT_MAX_S = 10
LOCK_MAX_S = 30
CLIENT_CHECK_S = 2
"""How often a server that waits for a lock looks whether we are still there."""
APPLICATION = "credstore"


def make_engine(target: Target, run_id: str) -> sa.Engine:
    """Make an engine whose connections name this run, and are closed when they are given back.

    Args:
        target: The database; any PostgreSQL driver name in its URL stands for psycopg2.
        run_id: Shown to the database's operator as `application_name`, and to a run that waits for our lock.
    """
    return sa.create_engine(
        target.url.set(drivername=DRIVER),
        hide_parameters=True,
        poolclass=sa.NullPool,
        connect_args={
            "application_name": f"{APPLICATION} {run_id}",
            "connect_timeout": CONNECT_MAX_S,
            "client_encoding": "UTF8",
            # A server that vanished without a word is noticed within a minute.
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
        },
    )


@contextmanager
def transaction(
    engine: sa.Engine, where: str, schema: str | None = None, *, lock_max_s: float = LOCK_MAX_S
) -> Iterator[sa.Connection]:
    """Run a block in one transaction: committed at its end, rolled back if it raises.

    Args:
        engine: From `make_engine`.
        where: What the block does, for error messages.
        schema: As for `settle`.
        lock_max_s: As for `settle`.

    Raises:
        CommitUnknown: If the connection is lost during COMMIT; look for what the transaction wrote before trying again.
        TargetError: For whatever else the database refuses, as evidence alone.
    """
    with boundary(where), engine.connect() as connection:
        settle(connection, schema, lock_max_s)
        yield connection
        with commit_boundary(where):
            connection.commit()


def settle(connection: sa.Connection, schema: str | None = None, lock_max_s: float = LOCK_MAX_S) -> None:
    """Make the rest of this transaction independent of what the role, the database or the server are set to.

    Args:
        connection: Its current transaction is the one that is changed; the next has the old settings again.
        schema: Searched after `pg_catalog`, for triggers of the application's that name tables without a schema.
        lock_max_s: Longest wait for any lock.
    """
    path = "pg_catalog, pg_temp" if schema is None else f"pg_catalog, {quoted(schema)}, pg_temp"
    settings = {
        "lock_timeout": f"{int(lock_max_s * 1000)}ms",
        "statement_timeout": "0",
        # Opening tokens takes its time on our side, while the transaction is open.
        "idle_in_transaction_session_timeout": "0",
        "transaction_timeout": "0",
        # While it waits for a lock the server would not notice that we are gone, and would keep the load's own lock.
        "client_connection_check_interval": f"{CLIENT_CHECK_S * 1000}ms",
        "search_path": path,
        "TimeZone": "UTC",
        "DateStyle": "ISO, YMD",
        "bytea_output": "hex",
        "extra_float_digits": "1",
        "standard_conforming_strings": "on",
    }
    names = sa.values(sa.column("name", sa.Text), sa.column("value", sa.Text), name="wanted").data(
        list(settings.items())
    )
    # Only what this version of PostgreSQL knows: transaction_timeout came with 17. Asked by name, since the view
    # pg_settings makes all its rows each time.
    known = sa.func.pg_catalog.current_setting(names.c.name, sa.true()).is_not(None)
    set_local = sa.func.pg_catalog.set_config(names.c.name, names.c.value, sa.true())
    # Elsewhere than on Linux the server may refuse to look for its client.
    able = sa.or_(names.c.name != "client_connection_check_interval", sa.func.version().like("%linux%"))
    connection.execute(sa.select(set_local).select_from(names).where(known, able))


def quoted(*names: str) -> str:
    """Quote identifiers and join them by dots: schema, table."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def target_now(connection: sa.Connection) -> datetime:
    """Read the target's clock, with its time zone; not the transaction's start."""
    return connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()  # type: ignore[no-any-return]
