"""The digest differs whenever the content does, and only then."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from credstore_pipeline.core.errors import SourceError
from credstore_pipeline.core.source.digest import ContentDigest, content_digest
from credstore_pipeline.core.source.inspect import inspect
from credstore_pipeline_tests.core.source.legacy_files import ADD_CREDENTIAL, KEY, ORM, WEB_TAGS, make_file, make_orm


def digest_of(path: Path, key: bytes = KEY) -> ContentDigest:
    with closing(sqlite3.connect(path)) as connection:
        return content_digest(connection, inspect(connection), key)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = make_orm(tmp_path / "store.db")
    return make_file(path, WEB_TAGS, "CREATE TABLE users (id)")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE credentials SET password = 'secret X' WHERE id = 'c1'",
        "UPDATE credentials SET password = NULL WHERE id = 'c1'",
        "UPDATE credentials SET password = CAST(password AS BLOB) WHERE id = 'c1'",
        "UPDATE credentials SET password = password || x'00' WHERE id = 'c1'",
        "UPDATE credentials SET password = CAST(x'41ff' AS TEXT) WHERE id = 'c1'",
        "UPDATE credentials SET description = '' WHERE id = 'c1'",
        "UPDATE credentials SET description = x'' WHERE id = 'c1'",
        "UPDATE credentials SET username = 'name 1', name = 'user' WHERE id = 'c1'",
        "UPDATE credentials SET success_count = CAST(success_count AS BLOB) WHERE id = 'c1'",
        "UPDATE credentials SET success_count = 4611686018427387904 WHERE id = 'c1'",
        "UPDATE credential_tags SET priority = 1e999 WHERE id = 'l1'",
        "UPDATE credential_tags SET priority = 'high' WHERE id = 'l1'",
        "UPDATE credential_tags SET priority = priority + 1e-12 WHERE id = 'l1'",
        "UPDATE credentials SET rowid = 99 WHERE id = 'c1'",  # the order of ties
        "DELETE FROM credential_tags WHERE id = 'l2'",
        "INSERT INTO tags (id, name) VALUES ('t1', 'Routers')",
        "DROP TABLE tags",
        "ALTER TABLE credentials DROP COLUMN key_file",
    ],
)
def test_every_change_of_content_changes_the_digest(store: Path, change: str) -> None:
    before = digest_of(store)
    make_file(store, change)
    assert digest_of(store).value != before.value


def test_the_same_digits_as_number_and_as_text_differ(tmp_path: Path) -> None:
    """SQLite types each value: 1, 1.0, '1' and x'31' in one column are four contents."""
    digests = set()
    for i, value in enumerate([1, 1.0, "1", b"1"]):
        path = make_file(tmp_path / f"{i}.db", "CREATE TABLE credentials (id, name, username, password)")
        make_file(path, rows=[("INSERT INTO credentials VALUES (?, 'n', 'u', 'p')", (value,))])
        digests.add(digest_of(path).value)
    assert len(digests) == 4


def test_no_two_rows_run_together(tmp_path: Path) -> None:
    digests = set()
    for i, (name, user) in enumerate([("ab", "c"), ("a", "bc"), ("abc", "")]):
        path = make_file(tmp_path / f"{i}.db", *ORM.values(), rows=[(ADD_CREDENTIAL, ("1", name, user, "p", 0))])
        digests.add(digest_of(path).value)
    assert len(digests) == 3


@pytest.mark.parametrize(
    "change",
    [
        "VACUUM",
        "INSERT INTO users VALUES ('someone')",
        "DROP INDEX ix_credentials_name",
        "PRAGMA journal_mode = WAL",
        "UPDATE credentials SET rowid = rowid + 10",  # all of them: the order stays
    ],
)
def test_what_is_not_content_does_not_change_the_digest(store: Path, change: str) -> None:
    before = digest_of(store)
    make_file(store, change)
    assert digest_of(store) == before


def test_the_order_of_columns_is_not_content(tmp_path: Path) -> None:
    one = make_file(tmp_path / "1.db", "CREATE TABLE tags (id, name, color)", "INSERT INTO tags VALUES (1, 2, 3)")
    two = make_file(tmp_path / "2.db", "CREATE TABLE tags (color, name, id)", "INSERT INTO tags VALUES (3, 2, 1)")
    assert digest_of(one) == digest_of(two)


def test_a_column_of_nulls_differs_from_no_column(tmp_path: Path) -> None:
    one = make_file(tmp_path / "1.db", "CREATE TABLE tags (id, name, color)", "INSERT INTO tags VALUES (1, 2, NULL)")
    two = make_file(tmp_path / "2.db", "CREATE TABLE tags (id, name)", "INSERT INTO tags VALUES (1, 2)")
    assert digest_of(one).value != digest_of(two).value


def test_another_key_gives_another_digest(store: Path) -> None:
    assert digest_of(store, b"k" * 32).value != digest_of(store).value


def test_rows_are_counted_and_a_missing_table_has_none(tmp_path: Path) -> None:
    digest = digest_of(make_orm(tmp_path / "store.db", rows=5))
    assert (digest.rows("credentials"), digest.rows("credential_tags"), digest.rows("tags")) == (5, 5, 0)
    assert "tags" not in digest.tables


def test_a_text_that_is_not_utf8_is_digested_by_its_bytes(tmp_path: Path) -> None:
    digests = set()
    for i, octets in enumerate([b"\xff", b"\xfe", b"\xed\xb3\xbf", b"\xef\xbf\xbd"]):
        path = make_orm(tmp_path / f"{i}.db")
        make_file(path, rows=[("UPDATE credentials SET name = CAST(? AS TEXT) WHERE id = 'c1'", (octets,))])
        digests.add(digest_of(path).value)
    assert len(digests) == 4


def test_a_table_without_rowid_is_digested_in_the_order_of_its_key(tmp_path: Path) -> None:
    ddl = "CREATE TABLE tags (id TEXT PRIMARY KEY, name TEXT) WITHOUT ROWID"
    one = make_file(tmp_path / "1.db", ddl, "INSERT INTO tags VALUES ('a', 1), ('b', 2)")
    two = make_file(tmp_path / "2.db", ddl, "INSERT INTO tags VALUES ('b', 2), ('a', 1)")
    assert digest_of(one) == digest_of(two)


def test_the_digest_is_the_same_in_every_python(tmp_path: Path) -> None:
    """A fixed vector: a snapshot taken under one version of Python is proven under another."""
    values = [None, 0, -1, 2**31, -(2**63), 2**63 - 1, 0.1, -0.0, float("inf"), "", "a\0b", "\N{SNOWMAN}", b"\0\xff"]
    path = make_file(
        tmp_path / "store.db",
        "CREATE TABLE tags (id, name)",
        rows=[("INSERT INTO tags VALUES (?, CAST(x'ff41' AS TEXT))", (value,)) for value in values],
    )
    assert digest_of(path).value == "6775b22ef5b05743cae5fef7144826093f1e1440d0540e8eaf3dd1b4c01e9c68"


def test_more_rows_than_a_chunk_are_all_digested(tmp_path: Path) -> None:
    path = make_file(tmp_path / "store.db", "CREATE TABLE tags (id, name)")
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20001)"
    make_file(path, f"{numbers} INSERT INTO tags SELECT i, i FROM n")
    before = digest_of(path)
    make_file(path, "UPDATE tags SET name = 'x' WHERE id = 20001")
    assert before.rows("tags") == 20_001
    assert digest_of(path).value != before.value


def test_the_check_is_called_between_chunks_and_may_give_up(store: Path) -> None:
    def give_up() -> None:
        raise TimeoutError

    with closing(sqlite3.connect(store)) as connection, pytest.raises(TimeoutError):
        content_digest(connection, inspect(connection), KEY, check=give_up)


def test_a_damaged_page_is_a_source_error_without_sqlites_words(tmp_path: Path) -> None:
    path = make_orm(tmp_path / "store.db", rows=500)
    data = bytearray(path.read_bytes())
    for page in range(4, len(data) // 4096):
        data[page * 4096 : page * 4096 + 8] = b"\x77" * 8
    path.write_bytes(data)
    with pytest.raises(SourceError, match="SQLITE_CORRUPT") as error:
        digest_of(path)
    assert error.value.__cause__ is None


def test_a_digest_survives_json(store: Path) -> None:
    digest = digest_of(store)
    assert ContentDigest.from_json(digest.as_json()) == digest
