"""The benchmark's store: right in number, the same each time, on one core or several."""

import sqlite3
from pathlib import Path

import pytest

from credstore_pipeline.demo import big
from credstore_pipeline.demo.__main__ import main
from credstore_pipeline.demo.stores import build_store


def rows_of(path: Path, table: str) -> list[tuple]:
    return sqlite3.connect(path).execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()


def test_rows_do_not_depend_on_the_processes_that_made_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = build_store(tmp_path / "alone", "big", credentials=420)
    monkeypatch.setattr(big, "CHUNK_ROWS", 100)
    spread = build_store(tmp_path / "spread", "big", credentials=420)
    for table in ("tags", "credentials", "credential_tags"):
        assert rows_of(alone.path, table) == rows_of(spread.path, table)
    assert alone.expected == spread.expected
    assert len(rows_of(alone.path, "credentials")) == 420
    assert len(rows_of(alone.path, "credential_tags")) == 840


def test_no_credential_has_a_tag_twice_and_every_tag_exists(tmp_path: Path) -> None:
    store = build_store(tmp_path / "big", "big", credentials=500)
    links = rows_of(store.path, "credential_tags")
    assert len({(link[1], link[2]) for link in links}) == len(links) == 1000
    assert {link[2] for link in links} <= {tag[0] for tag in rows_of(store.path, "tags")}


def test_above_a_size_the_expectation_is_counts_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(big, "FULL_EXPECTATION_ROWS", 10)
    expected = build_store(tmp_path / "big", "big", credentials=11).expected
    assert expected["counts"] == {"tags": 100, "credentials": 11, "credential_tags": 22}
    assert "credentials" not in expected


def test_the_command_line_writes_a_store_of_n_credentials(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store", str(tmp_path / "n"), "--credentials", "7"]) == 0
    assert len(rows_of(tmp_path / "n" / "store.db", "credentials")) == 7
    assert f"CREDSTORE_SQLITE_PATH={tmp_path / 'n' / 'store.db'}" in capsys.readouterr().out


def test_the_command_line_refuses_a_folder_with_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store", str(tmp_path), "--flavour", "setup_plain"]) == 0
    with pytest.raises(SystemExit) as stopped:
        main(["store", str(tmp_path), "--flavour", "setup_plain"])
    assert stopped.value.code == 1
    assert "never overwritten" in capsys.readouterr().err
