"""What the role may do and what the database is, asked before anything is written."""

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from credstore_pipeline.core.frames import TABLES
from credstore_pipeline.core.target.connect import quoted
from credstore_pipeline.core.target.shape import TargetShape
from credstore_pipeline.core.target.sync_models import SCHEMA as SYNC
from credstore_pipeline.core.target.sync_models import metadata as sync_metadata

NEEDED = ("SELECT", "INSERT", "UPDATE")
NEEDED_IN_SYNC = (*NEEDED, "DELETE")


@dataclass(frozen=True)
class TargetDescription:
    """Where rows are about to go.

    Attributes:
        server_version: As in `server_version`: `15.18`.
        host: The server's address, or None behind a socket.
        port: Its TCP port, or None behind a socket.
        database: The database's name.
        schema: Where the application's tables are.
        user: The role that we are.
        encoding: The database's encoding; anything but UTF8 cannot hold all texts.
        database_bytes: How large the database is.
        rows: Rows of each of the three tables that is there.
    """

    server_version: str
    host: str | None
    port: int | None
    database: str
    schema: str
    user: str
    encoding: str
    database_bytes: int
    rows: dict[str, int]


def describe(connection: sa.Connection, shape: TargetShape) -> TargetDescription:
    """Describe the target to its operator; counts rows, so it may take a while in a large database."""
    fields = connection.execute(
        sa.text(
            "SELECT current_setting('server_version') AS server_version, host(inet_server_addr()) AS host,"
            " inet_server_port() AS port, current_database()::text AS database, current_user::text AS user,"
            " current_setting('server_encoding') AS encoding, pg_database_size(current_database()) AS database_bytes"
        )
    ).one()
    rows = {
        name: connection.execute(sa.text(f"SELECT count(*) FROM {quoted(shape.schema, name)}")).scalar_one()
        for name in shape.tables
    }
    return TargetDescription(**fields._mapping, schema=shape.schema, rows=rows)


def missing_rights(connection: sa.Connection, shape: TargetShape) -> list[str]:
    """List in words every right that a load would lack; empty if it can begin."""
    return [*_of_database(connection, shape), *_of_tables(connection, shape), *_of_sync(connection)]


def _of_database(connection: sa.Connection, shape: TargetShape) -> Iterator[str]:
    if _ask(connection, "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean"):
        yield "writing at all: the server is a standby, or transactions are read-only by default"
    if not _ask(connection, "SELECT has_database_privilege(current_database(), 'TEMPORARY')"):
        yield "TEMPORARY on the database"
    sync_exists = _ask(connection, "SELECT count(*) FROM pg_namespace WHERE nspname = :name", name=SYNC)
    missing_schemas = ([] if shape.schema_exists else [shape.schema]) + ([] if sync_exists else [SYNC])
    if missing_schemas and not _ask(connection, "SELECT has_database_privilege(current_database(), 'CREATE')"):
        yield f"CREATE on the database, to make the schema {' and '.join(missing_schemas)}"
    if not shape.schema_exists:
        return
    creates = not all(shape.present(name) for name in TABLES)
    yield from _of_schema(connection, shape.schema, creates=creates)


def _of_tables(connection: sa.Connection, shape: TargetShape) -> Iterator[str]:
    for name in shape.tables:
        # Foreign keys to a table that is there, from one that is not.
        needed = NEEDED if name == "credential_tags" or shape.present("credential_tags") else (*NEEDED, "REFERENCES")
        yield from _of_table(connection, shape.schema, name, needed)


def _of_sync(connection: sa.Connection) -> Iterator[str]:
    if not _ask(connection, "SELECT count(*) FROM pg_namespace WHERE nspname = :name", name=SYNC):
        return
    found = [
        name
        for name in ("alembic_version", *(table.name for table in sync_metadata.sorted_tables))
        if _ask(connection, "SELECT count(*) FROM pg_tables WHERE schemaname = :s AND tablename = :t", s=SYNC, t=name)
    ]
    yield from _of_schema(connection, SYNC, creates=not found)
    for name in found:
        yield from _of_table(connection, SYNC, name, NEEDED_IN_SYNC)


def _of_schema(connection: sa.Connection, schema: str, *, creates: bool) -> Iterator[str]:
    for right in ["USAGE", "CREATE"] if creates else ["USAGE"]:
        if not _ask(connection, "SELECT has_schema_privilege(:name, :right)", name=schema, right=right):
            yield f"{right} on schema {schema}"


def _of_table(connection: sa.Connection, schema: str, name: str, needed: tuple[str, ...]) -> Iterator[str]:
    # By number: to look a table up by name takes rights on its schema, and these are what we ask about.
    place = {"s": schema, "t": name}
    found = (
        "SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = :s AND relname = :t"
    )
    for right in needed:
        if not _ask(connection, f"SELECT has_table_privilege(({found}), :right)", **place, right=right):
            yield f"{right} on {schema}.{name}"
    if _ask(connection, f"SELECT row_security_active(({found}))", **place):
        yield f"seeing all rows of {schema}.{name}: row level security hides some"


def _ask(connection: sa.Connection, question: str, **values: str) -> bool:
    return bool(connection.execute(sa.text(question), values).scalar_one())
