"""Which rows were edited between two snapshots, and that anything else is no edit."""

import shutil
import sqlite3
from contextlib import closing

import pytest

from credstore_pipeline.core.errors import SourceError
from credstore_pipeline.core.source import edits
from credstore_pipeline.core.source.edits import edited_rows
from credstore_pipeline.core.source.inspect import inspect

DDL = """
CREATE TABLE tags (id TEXT PRIMARY KEY, name TEXT);
CREATE TABLE credentials (id TEXT PRIMARY KEY, name TEXT, username TEXT COLLATE NOCASE, password, success_count INT);
CREATE TABLE credential_tags (id TEXT PRIMARY KEY, credential_id TEXT, tag_id TEXT, priority REAL);
INSERT INTO tags VALUES ('t', 'one');
"""
ROWS = 20


@pytest.fixture
def stores(tmp_path, monkeypatch):
    """Two copies of one store; the second one is to be changed."""
    monkeypatch.setattr(edits, "AT_MOST", 0.25)
    before, now = tmp_path / "before.db", tmp_path / "now.db"
    with closing(sqlite3.connect(before)) as store, store:
        store.executescript(DDL)
        for number in range(1, ROWS + 1):
            store.execute("INSERT INTO credentials VALUES (?, 'n', 'u', 'p', 0)", (f"c{number}",))
            store.execute("INSERT INTO credential_tags VALUES (?, ?, 't', 1.0)", (f"l{number}", f"c{number}"))
    shutil.copyfile(before, now)
    return before, now


def found(stores, *statements):
    before, now = stores
    with closing(sqlite3.connect(now)) as store, store:
        for statement in statements:
            store.execute(statement)
        shape = inspect(store)
    return edited_rows(before, now, shape)


def test_nothing_was_edited(stores):
    assert found(stores) == {"credentials": [], "credential_tags": []}


@pytest.mark.parametrize(
    "value",
    [
        "username = 'U'",  # the column's own collation calls them equal
        "password = CAST('p' AS BLOB)",
        "password = NULL",
        "password = 'p' || char(0)",
        "password = CAST(x'ff' AS TEXT)",
        "name = ''",
        "success_count = 1",
    ],
)
def test_every_difference_of_a_value_is_an_edit(stores, value):
    assert found(stores, f"UPDATE credentials SET {value} WHERE rowid IN (3, 7)") == {
        "credentials": [3, 7],
        "credential_tags": [],
    }


def test_the_type_alone_is_an_edit_of_a_password_and_none_of_a_counter(stores):
    before, _ = stores
    with closing(sqlite3.connect(before)) as store, store:
        store.execute("UPDATE credentials SET password = 1, success_count = 1 WHERE rowid = 5")
    typed = "UPDATE credentials SET password = {}, success_count = 1 WHERE rowid = 5"
    assert found(stores, typed.format("1.0")) == {"credentials": [5], "credential_tags": []}
    assert found(stores, typed.format("1")) == {"credentials": [], "credential_tags": []}


def test_a_priority_is_edited(stores):
    assert found(stores, "UPDATE credential_tags SET priority = 2 WHERE id = 'l4'")["credential_tags"] == [4]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO credentials VALUES ('new', 'n', 'u', 'p', 0)",
        "DELETE FROM credentials WHERE id = 'c1'",
        "UPDATE credentials SET id = 'other' WHERE id = 'c1'",
        "UPDATE credentials SET rowid = 99 WHERE id = 'c1'",
        "UPDATE credential_tags SET tag_id = 'other' WHERE id = 'l1'",
        "UPDATE credential_tags SET credential_id = 'c2' WHERE id = 'l1'",
        "UPDATE tags SET name = 'renamed'",
        "INSERT INTO tags VALUES ('t2', 'two')",
        "DELETE FROM tags",
        "UPDATE credentials SET name = 'm' WHERE rowid <= 6",
    ],
)
def test_what_is_no_edit_of_a_few_rows_makes_a_whole_pass(stores, statement):
    assert found(stores, statement) is None


def test_a_row_that_took_the_place_of_another_is_no_edit(stores):
    assert (
        found(
            stores,
            "DELETE FROM credentials WHERE id = 'c20'",
            "INSERT INTO credentials (rowid, id, name, username, password) VALUES (20, 'new', 'n', 'u', 'p')",
        )
        is None
    )


def test_tables_without_row_ids_are_not_compared(tmp_path):
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as store, store:
        store.executescript(DDL.replace("priority REAL)", "priority REAL) WITHOUT ROWID"))
        shape = inspect(store)
    assert edited_rows(path, path, shape) is None


def test_a_file_that_cannot_be_read_is_named_without_its_content(stores):
    before, now = stores
    before.write_bytes(b"no database at all" * 100)
    with closing(sqlite3.connect(now)) as store:
        shape = inspect(store)
    with pytest.raises(SourceError, match="snapshots"):
        edited_rows(before, now, shape)
