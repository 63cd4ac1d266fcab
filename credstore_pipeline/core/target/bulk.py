"""Whole tables in and out by COPY, between PostgreSQL and Arrow, in batches."""

import codecs
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.csv as pcsv
import sqlalchemy as sa

from credstore_pipeline.core.errors import TargetError
from credstore_pipeline.core.target.connect import quoted
from credstore_pipeline.core.target.copy_text import readable_types, to_arrow, to_text

BATCH_ROWS = 20_000
CHUNK_BYTES = 8 << 20
_WRITE = pcsv.WriteOptions(include_header=False, quoting_style="needed")


def copy_in(connection: sa.Connection, table: pa.Table, into: str, columns: Sequence[str] | None = None) -> int:
    """Append a table's rows by COPY, in the caller's transaction; NULL and the empty text stay two things.

    Args:
        connection: Settled (`connect.settle`).
        table: Any of these types: text, int, double, bool, timestamp with or without zone, binary (into `bytea`), null.
        into: The table's name, qualified and quoted.
        columns: Columns of `table` to write, which name those of the target too; all of them by default.

    Returns:
        Rows written.
    """
    chosen = table.select(list(columns)) if columns is not None else table
    names = ", ".join(quoted(name) for name in chosen.column_names)
    _run(connection, f"COPY {into} ({names}) FROM STDIN (FORMAT csv, ENCODING 'UTF8')", _Rows(chosen))
    return int(chosen.num_rows)


def copy_out(connection: sa.Connection, sql: str, schema: pa.Schema) -> pa.Table:
    """Read a query's rows by COPY.

    Args:
        connection: Settled (`connect.settle`).
        sql: A SELECT with exactly the schema's columns, in its order; its own values have to be written out.
        schema: Arrow types to read them as; binary for `bytea`.

    Raises:
        TargetError: If a value is none of its type (an infinite timestamp); never says which.
    """
    tables: list[pa.Table] = []
    copy_out_each(connection, sql, schema, tables.append)
    return pa.concat_tables(tables) if tables else schema.empty_table()


def copy_out_each(connection: sa.Connection, sql: str, schema: pa.Schema, consume: Callable[[pa.Table], None]) -> int:
    """Read a query's rows by COPY, some megabytes at a time; as `copy_out` otherwise.

    Args:
        connection: Settled (`connect.settle`).
        sql: A SELECT.
        schema: Its columns.
        consume: Called with each part as it comes, in order; must not use the connection.

    Returns:
        Rows read.
    """
    sink = _Parts(schema, consume)
    _run(connection, f"COPY ({sql}) TO STDOUT (FORMAT csv, ENCODING 'UTF8')", sink)
    sink.flush()
    return sink.rows


def _run(connection: sa.Connection, statement: str, file: object) -> None:
    # Through SQLAlchemy first, so that it knows of the transaction that the driver's cursor works in.
    connection.execute(sa.text("SELECT 1"))
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor:
        cursor.copy_expert(statement, file, size=1 << 18)


class _Rows:
    """A table as the file that COPY reads: one batch of it is text at a time."""

    def __init__(self, table: pa.Table) -> None:
        self._batches = self._written(table)
        self._batch = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Give the next bytes; none at the end."""
        while not self._batch:
            following = next(self._batches, None)
            if following is None:
                return b""
            self._batch = memoryview(following)
        part, self._batch = self._batch[:size], self._batch[size:]
        return bytes(part)

    @staticmethod
    def _written(table: pa.Table) -> Iterator[pa.Buffer]:
        for start in range(0, table.num_rows, BATCH_ROWS):
            sink = pa.BufferOutputStream()
            pcsv.write_csv(to_text(table.slice(start, BATCH_ROWS)), sink, _WRITE)
            yield sink.getvalue()


class _Parts:
    """The file that COPY writes to: gathers some megabytes of rows and hands them on as a table."""

    def __init__(self, schema: pa.Schema, consume: Callable[[pa.Table], None]) -> None:
        self._schema, self._consume = schema, consume
        self._pieces: list[bytes] = []
        self._bytes = self.rows = 0
        self._read = pcsv.ReadOptions(column_names=schema.names, block_size=1 << 30, use_threads=False)
        # A row of one NULL is an empty line.
        self._parse = pcsv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
        self._convert = pcsv.ConvertOptions(
            column_types=readable_types(schema),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        )

    def write(self, piece: bytes) -> int:
        """Take what the driver hands over: the server sends each row as one message."""
        self._pieces.append(piece)
        self._bytes += len(piece)
        if self._bytes >= CHUNK_BYTES:
            self.flush()
        return len(piece)

    def flush(self) -> None:
        """Hand on what has been gathered."""
        if not self._pieces:
            return
        # The reader skips one byte order mark; without ours it would skip one that is a value's first character.
        text = pa.py_buffer(b"".join([codecs.BOM_UTF8, *self._pieces]))
        self._pieces.clear()
        self._bytes = 0
        try:
            parsed = pcsv.read_csv(pa.BufferReader(text), self._read, self._parse, self._convert)
        except pa.ArrowInvalid:
            # Its message quotes the value.
            raise TargetError("reading the target", "a value cannot be read as its column's type.") from None
        self.rows += parsed.num_rows
        self._consume(to_arrow(parsed, self._schema))
