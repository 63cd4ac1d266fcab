"""Reads the application's rows out of the target in bulk."""

from collections.abc import Sequence

import pyarrow as pa
from sqlalchemy import Connection

from credstore_pipeline.core.load.columns import SCHEMAS
from credstore_pipeline.core.target.bulk import copy_in, copy_out

IDS = pa.schema([("id", pa.string())])


def qualified(schema: str, table: str) -> str:
    """`"schema"."table"`, quoted for SQL."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in (schema, table))


def select_list(table: str, alias: str = "t") -> str:
    """The table's columns for a SELECT, in the order of `SCHEMAS`."""
    return ", ".join(f"{alias}.{name}" for name in SCHEMAS[table].names)


def read_rows(connection: Connection, schema: str, table: str, clause: str = "") -> pa.Table:
    """Rows of a target table with the columns of `SCHEMAS[table]`.

    Args:
        connection: Inside whatever transaction the caller holds.
        schema: The application's schema.
        table: One of the store's tables.
        clause: What follows the table's alias `t`: joins, conditions, order. Names only, no values.
    """
    sql = f"SELECT {select_list(table)} FROM {qualified(schema, table)} t {clause}"
    return copy_out(connection, sql, SCHEMAS[table])


def put_ids(connection: Connection, name: str, ids: Sequence[str] | pa.Array | pa.ChunkedArray) -> None:
    """Make a temporary table `name(id)` that holds the given ids until the transaction ends."""
    put_table(
        connection, name, pa.table({"id": pa.array(ids, pa.string()) if isinstance(ids, list) else ids}), "id text"
    )


def put_table(connection: Connection, name: str, rows: pa.Table, columns: str) -> None:
    """Make a temporary table with the given rows; it goes with the transaction.

    Args:
        connection: Inside a transaction.
        name: The temporary table's name.
        rows: What it holds.
        columns: Its column definitions in SQL, in the order of `rows`.
    """
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS pg_temp.{name}")
    connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {name} ({columns}) ON COMMIT DROP")
    copy_in(connection, rows, f"pg_temp.{name}", rows.column_names)
    connection.exec_driver_sql(f"ANALYZE pg_temp.{name}")
