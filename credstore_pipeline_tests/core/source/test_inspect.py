"""Which files are known, and what is said of those that are not."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from credstore_pipeline.core.errors import ShapeRefused, SourceError
from credstore_pipeline.core.frames import TABLES
from credstore_pipeline.core.source.flavour import FLAVOURS
from credstore_pipeline.core.source.inspect import KNOWN_COLUMNS, SourceShape, inspect
from credstore_pipeline_tests.core.source.legacy_files import ORM, ORM_FIRST_LINKS, SCRIPT, WEB, WEB_TAGS, make_file

PLAIN = "CREATE TABLE credentials (id TEXT, name TEXT, username TEXT, password TEXT"


def shape_of(folder: Path, *statements: str) -> SourceShape:
    path = make_file(folder / "store.db", *statements)
    with closing(sqlite3.connect(path)) as connection:
        return inspect(connection)


@pytest.mark.parametrize(
    ("flavour", "statements"),
    [
        ("setup-script", list(SCRIPT.values())),
        ("orm", list(ORM.values())),
        ("orm", [ORM["credentials"]]),
        ("orm-89ac2d0", [ORM["credentials"], ORM_FIRST_LINKS]),
        ("orm-89ac2d0", [ORM["credentials"], ORM_FIRST_LINKS, WEB_TAGS]),
        ("web", list(WEB.values())),
        ("hybrid", [ORM["credentials"], SCRIPT["credential_tags"], SCRIPT["tags"]]),
        ("hybrid", [*ORM.values(), SCRIPT["tags"]]),
        ("hybrid", [*ORM.values(), WEB_TAGS]),
        ("empty", [SCRIPT["tags"], SCRIPT["credential_tags"]]),
        ("empty", [WEB_TAGS]),
        ("partial", [f"{PLAIN})"]),
    ],
)
def test_every_flavour_is_known_by_its_columns_and_indexes(tmp_path: Path, flavour: str, statements: list[str]) -> None:
    assert shape_of(tmp_path, *statements).flavour == flavour
    assert flavour in FLAVOURS


def test_columns_are_named_in_a_fixed_order_and_absent_ones_too(tmp_path: Path) -> None:
    shape = shape_of(tmp_path, *SCRIPT.values())
    assert shape.tables["credentials"].columns == (
        *("id", "name", "description", "username", "password"),
        *("success_count", "failure_count", "created_at", "updated_at"),
    )
    assert shape.tables["credentials"].absent == ("use_keys", "key_file", "last_used", "last_success", "last_failure")
    assert shape.tables["credential_tags"].absent[0] == "id"
    assert shape.missing == ()


def test_tables_are_those_of_the_frames() -> None:
    assert tuple(KNOWN_COLUMNS) == TABLES


def test_other_tables_are_listed_and_left(tmp_path: Path) -> None:
    shape = shape_of(tmp_path, *WEB.values())
    assert shape.other_tables == ("device_tags", "tag_rules")


def test_a_file_without_credentials_is_a_store_with_nothing_in_it(tmp_path: Path) -> None:
    shape = shape_of(tmp_path, SCRIPT["tags"], SCRIPT["credential_tags"])
    assert shape.missing == ("credentials",)


def test_names_are_compared_without_the_case_of_ascii_letters(tmp_path: Path) -> None:
    shape = shape_of(tmp_path, "CREATE TABLE Credentials (ID TEXT, Name TEXT, userNAME TEXT, PASSWORD TEXT)")
    assert shape.tables["credentials"].columns == ("id", "name", "username", "password")


def test_a_letter_that_only_unicode_folds_is_an_unknown_column(tmp_path: Path) -> None:
    with pytest.raises(ShapeRefused, match="use_\N{KELVIN SIGN}eys"):
        shape_of(tmp_path, f"{PLAIN}, use_\N{KELVIN SIGN}eys)")


def test_a_file_with_other_tables_only_is_refused_naming_them(tmp_path: Path) -> None:
    with pytest.raises(ShapeRefused, match=r"no credential store here.*tables found: devices, users"):
        shape_of(tmp_path, "CREATE TABLE users (id); CREATE TABLE devices (id)")


def test_a_database_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShapeRefused, match=r"no credential store here.*tables found: none"):
        shape_of(tmp_path, "CREATE TABLE gone (id); DROP TABLE gone")


def test_the_newest_schema_is_refused_as_such(tmp_path: Path) -> None:
    with pytest.raises(ShapeRefused) as refused:
        shape_of(
            tmp_path,
            "CREATE TABLE credentials (id INTEGER PRIMARY KEY, username VARCHAR, password VARCHAR NOT NULL,"
            " priority INTEGER, last_used DATETIME, success_rate FLOAT, description VARCHAR, is_system BOOLEAN)",
            "CREATE TABLE tags (id INTEGER PRIMARY KEY, name VARCHAR, type VARCHAR, description VARCHAR)",
            "CREATE TABLE credential_tag_association (credential_id INTEGER, tag_id INTEGER)",
        )
    text = str(refused.value)
    assert "newest application's schema" in text
    for found in (
        "credential_tag_association",
        "priority, success_rate, is_system",
        "credentials.id is INTEGER",
        "type",
    ):
        assert found in text


def test_a_known_store_with_the_newest_link_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShapeRefused, match="there is a table credential_tag_association"):
        shape_of(tmp_path, *ORM.values(), "CREATE TABLE credential_tag_association (credential_id, tag_id)")


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("CREATE TABLE credentials (id TEXT, name TEXT, username TEXT)", "credentials lacks password"),
        (f"{PLAIN}, owner TEXT, Colour TEXT)", r"credentials has unknown columns \(owner, colour\)"),
        (f"{PLAIN}, made TEXT AS (name) STORED)", r"credentials has unknown columns \(made\)"),
        ("CREATE TABLE credentials (id BIGINT, name, username, password)", "credentials.id is BIGINT"),
        ("CREATE TABLE t (id); CREATE VIEW credentials AS SELECT id FROM t", "credentials is a view"),
        ("CREATE TABLE credential_tags (tag_id TEXT)", "credential_tags lacks credential_id"),
        ("CREATE TABLE tags (id TEXT)", "tags lacks name"),
    ],
)
def test_an_unknown_shape_is_refused_with_what_was_found(tmp_path: Path, statement: str, found: str) -> None:
    with pytest.raises(ShapeRefused, match=found):
        shape_of(tmp_path, statement)


def test_all_differences_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ShapeRefused) as refused:
        shape_of(tmp_path, f"{PLAIN}, owner TEXT)", "CREATE TABLE tags (id INTEGER)")
    for found in ("owner", "tags lacks name", "tags.id is INTEGER"):
        assert found in str(refused.value)


def test_a_virtual_table_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        if ("ENABLE_FTS5",) not in connection.execute("PRAGMA compile_options").fetchall():
            pytest.skip("this SQLite has no virtual table to make")
    with pytest.raises(ShapeRefused, match="tags is a virtual table"):
        shape_of(tmp_path, "CREATE VIRTUAL TABLE tags USING fts5(id, name)")


def test_a_column_name_that_is_not_utf8_is_named_by_its_bytes(tmp_path: Path) -> None:
    path = make_file(tmp_path / "store.db", f"{PLAIN}, wxyz TEXT)")
    path.write_bytes(path.read_bytes().replace(b"wxyz", b"wx\xffz"))
    with closing(sqlite3.connect(path)) as connection, pytest.raises(ShapeRefused, match=r"wx\\xffz"):
        inspect(connection)


def test_text_stored_as_utf16_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShapeRefused, match="UTF-16"):
        shape_of(tmp_path, "PRAGMA encoding = 'UTF-16le'", *ORM.values())


def test_a_damaged_schema_is_a_source_error_without_sqlites_words(tmp_path: Path) -> None:
    path = make_file(tmp_path / "store.db", *ORM.values())
    make_file(path, "PRAGMA writable_schema=on; UPDATE sqlite_master SET sql='CANARY' WHERE name='credentials'")
    with closing(sqlite3.connect(path)) as connection, pytest.raises(SourceError) as error:
        inspect(connection)
    assert "SQLITE_" in str(error.value)
    assert "CANARY" not in str(error.value)


def test_a_shape_survives_json(tmp_path: Path) -> None:
    shape = shape_of(tmp_path, *WEB.values())
    assert SourceShape.from_json(shape.as_json()) == shape
