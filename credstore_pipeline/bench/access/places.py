"""The same rows in both databases, and what stands in them after a measurement."""

import csv
import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy.engine import URL

from credstore_pipeline.bench.access.contestants import HOT, Place
from credstore_pipeline.core.deployment import Target
from credstore_pipeline.core.target.indexes import add_indexes
from credstore_pipeline.demo.stores import Store
from credstore_pipeline.store import CredentialStore

TABLES = ("tags", "credentials", "credential_tags")
COUNTED = "SELECT sum(success_count) FROM credential_tags"
BY_TAG = (
    "SELECT c.*, t.priority, t.success_count, t.failure_count FROM credential_tags t"
    " JOIN credentials c ON c.id = t.credential_id WHERE t.tag_id = %s ORDER BY t.priority DESC, c.created_at, c.id"
)


def sqlite_place(store: Store, size: int) -> Place:
    """The store's file as it is."""
    with closing(sqlite3.connect(store.path)) as source:
        ids = [row[0] for row in source.execute("SELECT id FROM credentials ORDER BY id LIMIT 2000")]
        tags = [row[0] for row in source.execute("SELECT DISTINCT tag_id FROM credential_tags ORDER BY 1")]
        hot = source.execute("SELECT credential_id, tag_id FROM credential_tags ORDER BY id LIMIT ?", (HOT,)).fetchall()
    return Place("SQLite", size, store.env["encryption_key"], ids, tags, hot, path=store.path)


def postgres_place(source: Place, url: URL, *, indexes: bool) -> Place:
    """The same rows in an empty database, under the application's tables."""
    with CredentialStore(url, source.key) as store, connected(url) as cursor:
        store.initialize()
        _copy(source.path or Path(), cursor)
        if indexes:
            add_indexes(Target(url), "bench")
        cursor.execute("VACUUM ANALYZE")
    name = "PostgreSQL, indexes" if indexes else "PostgreSQL"
    return Place(name, source.size, source.key, source.credential_ids, source.tag_ids, source.hot, url=url)


def counted(place: Place) -> int:
    """The sum of all success counters of associations."""
    if place.path:
        with closing(sqlite3.connect(place.path)) as source:
            return int(source.execute(COUNTED).fetchone()[0])
    with connected(place.url) as cursor:
        cursor.execute(COUNTED)
        return int(cursor.fetchone()[0])


def plan_of(place: Place, tag_id: str) -> str:
    """How PostgreSQL selects by tag, as it says itself."""
    with connected(place.url) as cursor:
        cursor.execute("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS OFF) " + BY_TAG, (tag_id,))
        return "\n".join(row[0] for row in cursor.fetchall())


@contextmanager
def connected(url: URL | None) -> Iterator[Any]:
    """A cursor of the driver's own, each statement committed at once."""
    if url is None:
        raise ValueError("no PostgreSQL here")
    where = {"host": url.query.get("host", url.host), "port": url.query.get("port", url.port)}
    connection = psycopg2.connect(user=url.username, password=url.password, dbname=url.database, **where)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def _copy(path: Path, cursor: Any) -> None:
    with closing(sqlite3.connect(path)) as source:
        for table in TABLES:
            columns = ", ".join(row[1] for row in source.execute(f"PRAGMA table_info({table})"))
            rows = io.StringIO()
            csv.writer(rows).writerows(source.execute(f"SELECT {columns} FROM {table}"))
            rows.seek(0)
            cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN csv", rows)
