"""Reads the migrated store as the application would, with code of its own: by tag, the key string alone."""

import base64
import hashlib
import json
from dataclasses import dataclass

import psycopg2
from cryptography.fernet import Fernet
from sqlalchemy.engine import URL

BY_TAG = """
SELECT c.id, c.name, c.username, c.password, link.priority
  FROM credential_tags AS link JOIN credentials AS c ON c.id = link.credential_id JOIN tags ON tags.id = link.tag_id
 WHERE tags.name = %s AND c.password LIKE '{%%'
 ORDER BY link.priority DESC LIMIT %s
"""
ROW_VERSIONS = "SELECT count(*), coalesce(md5(string_agg(xmin::text || ctid::text, ',' ORDER BY ctid)), '') FROM {}"


@dataclass(frozen=True, repr=False)
class Read:
    """One credential as read from PostgreSQL and opened."""

    id: str
    name: str
    username: str
    priority: float
    password: str

    @property
    def masked(self) -> str:
        """As much of the password as may be shown: how long it is."""
        return f"{'*' * min(len(self.password), 12)} ({len(self.password)} characters)"


def read_by_tag(url: URL, key_string: str, tag: str, count: int) -> list[Read]:
    """The first credentials of a tag, highest priority first, each password opened.

    Raises:
        cryptography.fernet.InvalidToken: If one does not open under the key string.
    """
    fernet = Fernet(base64.urlsafe_b64encode(hashlib.sha256(key_string.encode()).digest()))
    rows = []
    for row_id, name, username, stored, priority in _query(url, BY_TAG, (tag, count)):
        sealed = json.loads(str(stored))["encrypted_data"]
        password = fernet.decrypt(base64.b64decode(sealed)).decode()
        rows.append(Read(str(row_id), str(name), str(username), float(str(priority)), password))
    return rows


def row_versions(url: URL) -> dict[str, tuple[object, ...]]:
    """Per table of the application: how many rows, and a digest of which version each of them is."""
    tables = ("tags", "credentials", "credential_tags")
    return {table: _query(url, ROW_VERSIONS.format(table), ())[0] for table in tables}


def count_rows(url: URL, table: str) -> int:
    """Rows of one table, 0 if it does not exist."""
    if _query(url, "SELECT to_regclass(%s) IS NULL", (table,))[0][0]:
        return 0
    return int(str(_query(url, f"SELECT count(*) FROM {table}", ())[0][0]))


def drop_database(url: URL, database: str) -> None:
    """The database is gone, as are its users' connections."""
    connection = psycopg2.connect(_dsn(url))
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
    finally:
        connection.close()


def _query(url: URL, sql: str, values: tuple[object, ...]) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(_dsn(url))
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall())
    finally:
        connection.close()


def _dsn(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)
