"""Writes a gathered store to disk and reads back, column by column, what SQLite made of it."""

import sqlite3
import tempfile
from collections.abc import Iterable
from pathlib import Path

from credstore_pipeline.demo.maker import Maker, RawText, Row
from credstore_pipeline.demo.schemas import SCHEMAS

TABLES = ("tags", "credentials", "credential_tags")


def write_database(maker: Maker, path: Path) -> None:
    """The store stands at `path`; in WAL mode its rows are in `path`-wal alone, and there is no -shm."""
    if not maker.wal:
        connection = sqlite3.connect(path, isolation_level=None)
        _fill(connection, maker)
        connection.close()
        return
    with tempfile.TemporaryDirectory(prefix="credstore-demo-") as folder:
        live = Path(folder) / "live.db"
        connection = sqlite3.connect(live, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        _fill(connection, maker)
        # Copied while the writer is still there: closing the last connection would empty the -wal.
        path.write_bytes(live.read_bytes())
        path.with_name(f"{path.name}-wal").write_bytes(live.with_name("live.db-wal").read_bytes())
        connection.close()


def _fill(connection: sqlite3.Connection, maker: Maker) -> None:
    for statement in SCHEMAS[maker.schema]:
        connection.execute(statement)
    connection.execute("BEGIN")
    for table, rows in (maker.rows | maker.others).items():
        _insert(connection, table, rows)
    connection.execute("COMMIT")


def _insert(connection: sqlite3.Connection, table: str, rows: Iterable[Row]) -> None:
    known = columns_of(connection, table)
    for row in rows:
        values = {name: value for name, value in row.values.items() if name in known}
        marks = ", ".join("CAST(? AS TEXT)" if isinstance(value, RawText) else "?" for value in values.values())
        bound = [value.data if isinstance(value, RawText) else value for value in values.values()]
        connection.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", bound)


def columns_of(connection: sqlite3.Connection, table: str) -> list[str]:
    """The table's column names in order; none for a table that does not exist."""
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def read_rows(path: Path, table: str) -> list[dict[str, object]] | None:
    """Every row in rowid order, text that is not UTF-8 as RawText; None without such a table."""
    connection = open_copy(path)
    try:
        names = columns_of(connection, table)
        if not names:
            return None
        connection.text_factory = _text
        found = connection.execute(f"SELECT {', '.join(names)} FROM {table} ORDER BY rowid")
        return [dict(zip(names, row, strict=True)) for row in found]
    finally:
        connection.close()


def open_copy(path: Path) -> sqlite3.Connection:
    """The store in memory, so that looking at it leaves no -shm behind and empties no -wal."""
    with tempfile.TemporaryDirectory(prefix="credstore-demo-") as folder:
        for suffix in ("", "-wal"):
            beside = path.with_name(path.name + suffix)
            if beside.exists():
                (Path(folder) / f"copy.db{suffix}").write_bytes(beside.read_bytes())
        inside = sqlite3.connect(":memory:")
        copy = sqlite3.connect(Path(folder) / "copy.db")
        copy.backup(inside)
        copy.close()
        return inside


def _text(data: bytes) -> object:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return RawText(data)
