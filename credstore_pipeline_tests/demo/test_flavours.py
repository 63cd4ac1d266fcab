"""What a store claims in expected.json is what its file holds, judged by openers and readers of other makes."""

import json
import sqlite3
from pathlib import Path

import pytest

from credstore_pipeline.demo.files import read_rows
from credstore_pipeline.demo.maker import RawText
from credstore_pipeline.demo.stores import NAMES, Store, build_store
from credstore_pipeline_tests.demo.openers import candidates, open_backup, peel

ORM = ["id", "name", "description", "username", "password", "use_keys", "key_file", "success_count", "failure_count",
       "last_used", "last_success", "last_failure", "created_at", "updated_at"]  # fmt: skip
SCRIPT = [
    "id",
    "name",
    "username",
    "password",
    "description",
    "created_at",
    "updated_at",
    "success_count",
    "failure_count",
]
ORM_LINKS = ["id", "credential_id", "tag_id", "priority", "success_count", "failure_count", "last_used", "last_success",
             "last_failure", "created_at", "updated_at"]  # fmt: skip
SCRIPT_LINKS = ["credential_id", "tag_id", "priority", "success_count", "failure_count"]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Store]:
    folder = tmp_path_factory.mktemp("stores")
    return {name: build_store(folder / name, name) for name in NAMES}


def columns(store: Store, table: str) -> list[str] | None:
    connection = sqlite3.connect(":memory:")
    for statement in store.expected["schema_sql"]:
        connection.execute(statement)
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")] or None


def as_bytes(value: object) -> bytes:
    if isinstance(value, RawText):
        return value.data
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.mark.parametrize("name", NAMES)
def test_every_recoverable_password_opens_and_no_other_does(stores: dict[str, Store], name: str) -> None:
    store = stores[name]
    keys = candidates(store)
    for told, row in zip(store.expected["credentials"] or [], read_rows(store.path, "credentials") or [], strict=True):
        if row["password"] is None:
            assert told["password"] is None
            continue
        opened = peel(as_bytes(row["password"]), keys)
        assert (told["password"] is not None and opened == told["password"].encode()) == told["recoverable"], told


@pytest.mark.parametrize("name", NAMES)
def test_the_file_has_the_rows_that_are_claimed_in_their_order(stores: dict[str, Store], name: str) -> None:
    expected = stores[name].expected
    for table, key in (("tags", "tags"), ("credentials", "credentials"), ("credential_tags", "associations")):
        rows = read_rows(stores[name].path, table)
        assert expected["has_table"][table] == (rows is not None)
        assert [row.get("id") for row in rows or [] if isinstance(row.get("id"), str)] == [
            row["id"] for row in expected[key] or [] if isinstance(row.get("id"), str)
        ]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "big"])
def test_the_same_seed_gives_the_same_bytes(stores: dict[str, Store], name: str, tmp_path: Path) -> None:
    again = build_store(tmp_path / "again", name)
    # In WAL mode SQLite itself draws a salt for each -wal: the rows are compared instead.
    if not (again.folder / "store.db-wal").exists():
        assert again.path.read_bytes() == stores[name].path.read_bytes()
    assert again.expected == stores[name].expected
    assert again.env == stores[name].env
    other = build_store(tmp_path / "other", name, seed=2)
    assert not (again.expected["credentials"] or []) or other.expected["credentials"] != again.expected["credentials"]


def test_each_flavour_has_the_columns_of_its_maker(stores: dict[str, Store]) -> None:
    assert columns(stores["setup_plain"], "credentials") == SCRIPT
    assert columns(stores["setup_plain"], "credential_tags") == SCRIPT_LINKS
    assert columns(stores["setup_as_shipped"], "credentials") is None
    assert columns(stores["orm_envelope"], "credentials") == ORM
    assert columns(stores["orm_envelope"], "credential_tags") == ORM_LINKS
    assert columns(stores["orm_envelope"], "tags") is None
    assert columns(stores["hybrid_script_first"], "credentials") == ORM
    assert columns(stores["hybrid_script_first"], "credential_tags") == SCRIPT_LINKS
    assert columns(stores["hybrid_orm_first"], "credential_tags") == ORM_LINKS
    assert columns(stores["web_and_store"], "device_tags") == ["device_id", "tag_id", "created_at"]
    assert "success_rate" in (columns(stores["head"], "credentials") or [])


@pytest.mark.parametrize("name", ["dirty", "demo"])
def test_rows_of_a_copied_live_store_are_in_the_wal_alone(stores: dict[str, Store], name: str, tmp_path: Path) -> None:
    store = stores[name]
    assert store.path.stat().st_size == 4096
    assert (store.folder / "store.db-wal").stat().st_size > 20_000
    assert not (store.folder / "store.db-shm").exists()
    main = sqlite3.connect(f"file:{store.path}?immutable=1", uri=True)
    assert main.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


def test_the_demo_has_exactly_three_passwords_that_no_key_opens(stores: dict[str, Store]) -> None:
    told = stores["demo"].expected["credentials"]
    fates = [one["fate"] for one in told]
    assert len(told) == 40
    assert fates.count("undecryptable_secret") == 3
    assert [one["recoverable"] for one in told].count(False) == 3
    assert {"secret_too_long", "invalid_text", "value_too_long"} < set(fates)


def test_the_dirty_store_keeps_each_value_in_the_type_it_was_bound_with(stores: dict[str, Store]) -> None:
    rows = {row["note"]: row for row in stores["dirty"].expected["credentials"] if "note" in row}
    assert rows["id is NULL"]["id"] is None
    assert rows["name is not UTF-8"]["name"] == {"hex": "636166e9"}
    assert rows["counters beyond int4"]["success_count"] == 2**31
    assert rows["counters are digits as text"]["success_count"] == "12"
    assert rows["epoch fractions"]["last_used"] == 1742515200.25
    assert rows["offset"]["created_at"] == "2025-03-20 10:00:00+02:00"
    links = stores["dirty"].expected["associations"]
    assert {"high", None, float("inf"), 12.0} <= {
        row["priority"] for row in links if not isinstance(row["priority"], dict)
    }


def test_a_key_directory_holds_private_files_and_the_metadata_names_keys_without_one(stores: dict[str, Store]) -> None:
    store = stores["key_rotation"]
    keys = sorted((store.folder / "keys").glob("*.key"))
    metadata = json.loads((store.folder / "keys" / "key_metadata.json").read_text())
    assert len(keys) == 4
    assert all(len(file.read_bytes()) == 44 and file.stat().st_mode & 0o077 == 0 for file in keys)
    named = set(metadata["keys"])
    assert {file.stem for file in keys} < named
    assert metadata["active_key_id"] in named
    assert {source for one in metadata["keys"].values() for source in [one["source"]]} == {"file", "environment"}
    assert set(open_backup(store)["keys"]) == named
    lost = stores["lost_env"]
    active = json.loads((lost.folder / "keys" / "key_metadata.json").read_text())["active_key_id"]
    assert not (lost.folder / "keys" / f"{active}.key").exists()


def test_settings_of_a_store_name_its_file_and_keys(stores: dict[str, Store]) -> None:
    told = stores["source_keys"].environment()
    assert told["CREDSTORE_SQLITE_PATH"] == str(stores["source_keys"].path)
    assert len(json.loads(told["CREDSTORE_SOURCE_KEYS"])) == 2
    assert {"NETRAVEN_ENCRYPTION_KEY", "CREDSTORE_KEY_BACKUP", "CREDSTORE_KEY_BACKUP_PASSWORD"} < set(told)
    assert "CREDSTORE_KEY_DIR" in stores["mixed"].environment()
    assert "NETRAVEN_ENCRYPTION_KEY" not in stores["setup_plain"].environment()


def test_a_store_is_never_overwritten(stores: dict[str, Store]) -> None:
    before = stores["demo"].path.read_bytes()
    with pytest.raises(FileExistsError):
        build_store(stores["demo"].folder, "demo")
    assert stores["demo"].path.read_bytes() == before
