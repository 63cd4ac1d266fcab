"""Small SQLite files in the application's shapes, and processes that write to them."""

import hashlib
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

KEY = bytes(range(32))
"""Key of digests and manifests in these tests."""

SCRIPT = {
    "credentials": """CREATE TABLE credentials (id TEXT PRIMARY KEY, name TEXT NOT NULL, username TEXT NOT NULL,
        password TEXT NOT NULL, description TEXT, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, success_count INTEGER DEFAULT 0,
        failure_count INTEGER DEFAULT 0)""",
    "tags": """CREATE TABLE tags (id TEXT PRIMARY KEY, name TEXT NOT NULL, description TEXT, color TEXT,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)""",
    "credential_tags": """CREATE TABLE credential_tags (credential_id TEXT, tag_id TEXT, priority INTEGER DEFAULT 0,
        success_count INTEGER DEFAULT 0, failure_count INTEGER DEFAULT 0, PRIMARY KEY (credential_id, tag_id),
        FOREIGN KEY (credential_id) REFERENCES credentials(id), FOREIGN KEY (tag_id) REFERENCES tags(id))""",
}
_LINK_COLUMNS = """id VARCHAR(36) NOT NULL, credential_id VARCHAR(36) NOT NULL, tag_id VARCHAR(36) NOT NULL,
    priority FLOAT, success_count INTEGER, failure_count INTEGER, last_used DATETIME, last_success DATETIME,
    last_failure DATETIME, created_at DATETIME, updated_at DATETIME, PRIMARY KEY (id),
    FOREIGN KEY(credential_id) REFERENCES credentials (id) ON DELETE CASCADE"""
_TAG_KEY = ", FOREIGN KEY(tag_id) REFERENCES tags (id) ON DELETE CASCADE"
ORM = {
    "credentials": """CREATE TABLE credentials (id VARCHAR(36) NOT NULL, name VARCHAR(255) NOT NULL, description TEXT,
        username VARCHAR(255) NOT NULL, password VARCHAR(1024), use_keys BOOLEAN, key_file VARCHAR(1024),
        success_count INTEGER, failure_count INTEGER, last_used DATETIME, last_success DATETIME, last_failure DATETIME,
        created_at DATETIME, updated_at DATETIME, PRIMARY KEY (id));
        CREATE INDEX ix_credentials_name ON credentials (name)""",
    "credential_tags": f"CREATE TABLE credential_tags ({_LINK_COLUMNS})",
}
ORM_FIRST_LINKS = f"CREATE TABLE credential_tags ({_LINK_COLUMNS}{_TAG_KEY})"
WEB_TAGS = """CREATE TABLE tags (id VARCHAR(36) NOT NULL, name VARCHAR(50) NOT NULL, description TEXT,
    color VARCHAR(7), created_at DATETIME, updated_at DATETIME, PRIMARY KEY (id));
    CREATE UNIQUE INDEX ix_tags_name ON tags (name); CREATE INDEX ix_tags_id ON tags (id)"""
WEB = {
    "credentials": f"{ORM['credentials']}; CREATE INDEX ix_credentials_id ON credentials (id)",
    "credential_tags": f"{ORM_FIRST_LINKS}; CREATE INDEX ix_credential_tags_id ON credential_tags (id)",
    "tags": WEB_TAGS,
    "tag_rules": "CREATE TABLE tag_rules (id VARCHAR(36) PRIMARY KEY, tag_id VARCHAR(36))",
    "device_tags": "CREATE TABLE device_tags (device_id VARCHAR(36), tag_id VARCHAR(36))",
}


def make_file(path: Path, *statements: str, rows: Iterable[tuple[str, tuple[object, ...]]] = ()) -> Path:
    """Run the scripts, then the statements with their parameters; the file is closed cleanly."""
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.executescript(statement)
        for sql, parameters in rows:
            connection.execute(sql, parameters)
        connection.commit()
    return path


def make_orm(path: Path, rows: int = 3) -> Path:
    """Make an ORM store with so many credentials, and one association each."""
    made: list[tuple[str, tuple[object, ...]]] = []
    for i in range(rows):
        made.append((ADD_CREDENTIAL, (f"c{i}", f"name {i}", "user", f"secret {i}", i)))
        made.append((ADD_LINK, (f"l{i}", f"c{i}", "t0", float(i))))
    return make_file(path, *ORM.values(), rows=made)


ADD_CREDENTIAL = "INSERT INTO credentials (id, name, username, password, success_count) VALUES (?, ?, ?, ?, ?)"
ADD_LINK = "INSERT INTO credential_tags (id, credential_id, tag_id, priority) VALUES (?, ?, ?, ?)"


def now() -> datetime:
    """Stand for the target's clock."""
    return datetime.now(UTC)


def bytes_of(folder: Path) -> dict[str, str]:
    """Digest every file of a folder but -shm files, which hold no content.

    Not while this process has one of them open in SQLite: that would drop SQLite's locks.
    """
    files = (path for path in sorted(folder.iterdir()) if not path.name.endswith("-shm"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def run_and_die(script: str, path: Path) -> None:
    """Run a script with `connection` on the file, in a process that ends without closing it."""
    subprocess.run([*_PYTHON, _PROLOGUE + script + "\nos._exit(0)", str(path)], check=True, timeout=30)


@contextmanager
def writer(script: str, path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Run a script with `connection` on the file until the end of the block; begins after it printed a line."""
    process = subprocess.Popen(
        [*_PYTHON, _PROLOGUE + script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


_PYTHON = [sys.executable, "-S", "-c"]
_PROLOGUE = """
import os, sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
def add(i, name=None):
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO credentials (id, name, username, password) VALUES (?, ?, 'u', 'p')",
        (f"w{i}", name or f"written {i}"))
    connection.execute("INSERT INTO credential_tags (id, credential_id, tag_id, priority) VALUES (?, ?, 't0', 0)",
        (f"wl{i}", f"w{i}"))
    connection.execute("COMMIT")
"""
