"""A keyed digest of what a store's tables hold, the same wherever the same rows are."""

import hashlib
import json
import marshal
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from credstore_pipeline.core.source.inspect import KNOWN_COLUMNS, SourceShape, TableShape
from credstore_pipeline.core.source.rows import chunks, without_gc
from credstore_pipeline.core.source.sqlite import sqlite_errors

_PERSON = b"credstore-digest"
_VERSION = "content 1"


@dataclass(frozen=True)
class ContentDigest:
    """What the tables hold.

    Attributes:
        tables: Table -> rows and the hex digest of them; tables that do not exist are absent.
        value: One hex digest over all of it.
    """

    tables: dict[str, tuple[int, str]]
    value: str

    def rows(self, table: str) -> int:
        """Count a table's rows; a table that does not exist has none."""
        return self.tables.get(table, (0, ""))[0]

    def as_json(self) -> dict[str, Any]:
        """Give what `from_json` takes."""
        return {"tables": {name: list(digest) for name, digest in self.tables.items()}, "value": self.value}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "ContentDigest":
        """Build the digest that `as_json` gave."""
        return cls({name: (rows, value) for name, (rows, value) in data["tables"].items()}, data["value"])


def content_digest(
    connection: sqlite3.Connection, shape: SourceShape, key: bytes, *, check: Callable[[], None] = lambda: None
) -> ContentDigest:
    """Digest every row of the store's tables, in order, types included.

    A value, its storage class, a row, their order, a column or a table that differs gives another digest; the
    row ids themselves are left out, so that VACUUM changes nothing.

    Args:
        connection: On the file, best inside a read transaction.
        shape: What `inspect` found there.
        key: 16 to 64 bytes: without it, the digest would confirm a guessed password.
        check: Called after every chunk of rows; may raise to give up.

    Raises:
        SourceError: If the file cannot be read.
    """
    tables = {name: _table_digest(connection, table, key, check) for name, table in shape.tables.items()}
    value = _hasher(key)
    value.update(json.dumps([_VERSION, [[name, tables.get(name)] for name in KNOWN_COLUMNS]]).encode())
    return ContentDigest(tables, value.hexdigest())


def _table_digest(
    connection: sqlite3.Connection, table: TableShape, key: bytes, check: Callable[[], None]
) -> tuple[int, str]:
    with sqlite_errors(f"source table {table.name}"):
        try:
            return _read(connection, table, key, check, escaped=False)
        except sqlite3.OperationalError:  # a text that is not UTF-8; any other fault comes again
            return _read(connection, table, key, check, escaped=True)


def _read(
    connection: sqlite3.Connection, table: TableShape, key: bytes, check: Callable[[], None], *, escaped: bool
) -> tuple[int, str]:
    hasher = _hasher(key)
    hasher.update(json.dumps([_VERSION, table.name, table.columns]).encode())
    rows = 0
    with without_gc():
        for chunk in chunks(connection, table, numbered=False, escaped=escaped):
            # Version 0 has no references and no interning: equal rows give equal bytes in every Python.
            # A list carries its length, and each value its type and length: no two contents share bytes.
            hasher.update(marshal.dumps(chunk, 0))
            rows += len(chunk)
            check()
    return rows, hasher.hexdigest()


def _hasher(key: bytes) -> "hashlib.blake2b":
    return hashlib.blake2b(key=key, digest_size=32, person=_PERSON)
