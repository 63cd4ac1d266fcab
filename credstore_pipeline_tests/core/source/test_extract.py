"""Tables come out of a snapshot by column name, each value with its own type."""

from pathlib import Path

import pyarrow as pa
import pytest

from credstore_pipeline.core.cells import MIXED, InvalidText, cells_as_values
from credstore_pipeline.core.errors import SourceError
from credstore_pipeline.core.frames import Frame
from credstore_pipeline.core.source.connect import open_source
from credstore_pipeline.core.source.extract import extract
from credstore_pipeline.core.source.inspect import inspect
from credstore_pipeline_tests.core.source.legacy_files import ADD_CREDENTIAL, ORM, SCRIPT, make_file, make_orm


def extracted(path: Path, table: str) -> Frame:
    with open_source(path, copies=path.parent) as source:
        shape = inspect(source.connection)
    return extract(path, table, shape)


def column(frame: Frame, name: str) -> list[object]:
    return cells_as_values(frame.rows[name])


def test_columns_come_by_name_whatever_their_place(tmp_path: Path) -> None:
    path = make_file(
        tmp_path / "store.db",
        "CREATE TABLE credentials (Password TEXT, username TEXT, NAME TEXT, id TEXT)",
        "INSERT INTO credentials VALUES ('p', 'u', 'n', 'i')",
    )
    frame = extracted(path, "credentials")
    assert frame.rows.column_names == ["source_rowid", "id", "name", "username", "password"]
    assert [column(frame, name) for name in ("id", "name", "username", "password")] == [["i"], ["n"], ["u"], ["p"]]


def test_columns_that_the_table_has_not_are_absent_and_noted(tmp_path: Path) -> None:
    frame = extracted(make_file(tmp_path / "store.db", *SCRIPT.values()), "credential_tags")
    assert frame.rows.column_names == [
        *("source_rowid", "credential_id", "tag_id", "priority", "success_count", "failure_count")
    ]
    assert frame.notes == {
        "flavour": "setup-script",
        "row_count": "0",
        "absent_columns": "id,last_used,last_success,last_failure,created_at,updated_at",
    }


def test_a_table_that_does_not_exist_gives_no_rows_and_a_note(tmp_path: Path) -> None:
    frame = extracted(make_orm(tmp_path / "store.db"), "tags")
    assert frame.rows.schema == pa.schema([("source_rowid", pa.int64())])
    assert frame.rows.num_rows == 0
    assert frame.notes["absent"] == "true"


def test_rows_come_in_the_order_of_their_row_ids(tmp_path: Path) -> None:
    sql = "INSERT INTO credentials (rowid, id, name, username) VALUES (?, ?, 'n', 'u')"
    rows = [(sql, (900, "last")), (sql, (-5, "first")), (sql, (7, "middle"))]
    frame = extracted(make_file(tmp_path / "store.db", *ORM.values(), rows=rows), "credentials")
    assert frame.rows["source_rowid"].to_pylist() == [-5, 7, 900]
    assert column(frame, "id") == ["first", "middle", "last"]


def test_a_table_without_rowid_is_numbered_in_the_order_of_its_key(tmp_path: Path) -> None:
    path = make_file(
        tmp_path / "store.db",
        "CREATE TABLE credential_tags (tag_id TEXT, credential_id TEXT, priority, PRIMARY KEY (credential_id, tag_id))"
        " WITHOUT ROWID",
        "INSERT INTO credential_tags VALUES ('t2', 'b', 1), ('t1', 'b', 2), ('t9', 'a', 3)",
    )
    frame = extracted(path, "credential_tags")
    assert frame.rows["source_rowid"].to_pylist() == [1, 2, 3]
    assert column(frame, "priority") == [3, 2, 1]


def test_null_primary_keys_are_kept(tmp_path: Path) -> None:
    rows = [("INSERT INTO tags (id, name) VALUES (?, ?)", (None, f"tag {i}")) for i in range(2)]
    frame = extracted(make_file(tmp_path / "store.db", *SCRIPT.values(), rows=rows), "tags")
    assert column(frame, "id") == [None, None]
    assert frame.rows["source_rowid"].to_pylist() == [1, 2]


def test_each_value_keeps_its_own_type(tmp_path: Path) -> None:
    rows = [
        ("INSERT INTO credential_tags (credential_id, tag_id, priority) VALUES (?, 't', ?)", (str(i), value))
        for i, value in enumerate([1, 50.5, "high", b"\x01", None, float("inf"), "7"])
    ]
    frame = extracted(make_file(tmp_path / "store.db", *SCRIPT.values(), rows=rows), "credential_tags")
    values = column(frame, "priority")
    # The column's INTEGER affinity turned the text '7' into a number when it was stored.
    assert values == [1, 50.5, "high", b"\x01", None, float("inf"), 7]
    assert [type(value) for value in values] == [int, float, str, bytes, type(None), float, int]


def test_nuls_and_text_that_is_not_utf8_survive_to_the_byte(tmp_path: Path) -> None:
    sql = "INSERT INTO credentials (id, name, username, password) VALUES (?, CAST(? AS TEXT), 'u\N{SNOWMAN}', ?)"
    rows = [(sql, ("1", b"a\0b", "p\0q")), (sql, ("2", b"\xff\xfeA\x80", b"\xff")), (sql, ("3", b"\xed\xa0\x80", None))]
    frame = extracted(make_file(tmp_path / "store.db", *ORM.values(), rows=rows), "credentials")
    names = column(frame, "name")
    assert names == ["a\0b", b"\xff\xfeA\x80", b"\xed\xa0\x80"]
    assert [isinstance(name, InvalidText) for name in names] == [False, True, True]
    assert column(frame, "password") == ["p\0q", b"\xff", None]
    assert column(frame, "username") == ["u\N{SNOWMAN}"] * 3


def test_a_column_that_changes_its_type_in_a_later_chunk_stays_exact(tmp_path: Path) -> None:
    path = make_file(tmp_path / "store.db", "CREATE TABLE tags (id, name, color)")
    make_file(
        path,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)"
        " INSERT INTO tags SELECT i, 'n', NULL FROM n",
        "INSERT INTO tags VALUES ('text', x'00', 1.5)",
    )
    frame = extracted(path, "tags")
    assert frame.rows["id"].type == MIXED
    assert frame.rows["color"].type == pa.float64()
    assert column(frame, "id") == [*range(1, 10_001), "text"]
    assert column(frame, "name") == [*["n"] * 10_000, b"\0"]
    assert column(frame, "color") == [*[None] * 10_000, 1.5]


def test_columns_of_one_type_are_native(tmp_path: Path) -> None:
    frame = extracted(make_orm(tmp_path / "store.db"), "credentials")
    types = {field.name: field.type for field in frame.rows.schema}
    assert types["source_rowid"] == types["success_count"] == pa.int64()
    assert types["password"] == pa.string()
    assert types["last_used"] == pa.null()


def test_a_vanished_snapshot_is_a_source_error(tmp_path: Path) -> None:
    path = make_orm(tmp_path / "store.db")
    with open_source(path, copies=tmp_path) as source:
        shape = inspect(source.connection)
    path.unlink()
    with pytest.raises(SourceError, match="SQLITE_CANTOPEN"):
        extract(path, "credentials", shape)


def test_a_frame_shows_no_value(tmp_path: Path) -> None:
    path = make_file(tmp_path / "store.db", *ORM.values(), rows=[(ADD_CREDENTIAL, ("1", "n", "u", "CANARY", 0))])
    assert "CANARY" not in repr(extracted(path, "credentials"))
