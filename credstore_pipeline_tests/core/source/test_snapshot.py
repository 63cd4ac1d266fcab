"""A snapshot is consistent, private and proven; a changed one is not."""

import os
import resource
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from credstore_pipeline.core.errors import CouldNotCheck, ShapeRefused, SnapshotNotProven, SourceBusy, SourceError
from credstore_pipeline.core.source.manifest import MANIFEST_NAME
from credstore_pipeline.core.source.snapshot import prove_snapshot, snapshot_path, take_snapshot
from credstore_pipeline_tests.core.source.legacy_files import (
    KEY,
    ORM,
    SCRIPT,
    bytes_of,
    make_file,
    make_orm,
    now,
    run_and_die,
    writer,
)

OWN_PROCESS = 0
"""As `own_process_bytes`: every copy is read back in a process of its own."""

COMMITTING = """
connection.execute("PRAGMA journal_mode=MODE")
connection.execute("PRAGMA synchronous=OFF")  # a slow disk would let no reader in; no crash is tried
add(0)
print("ready", flush=True)
i, longest = 0, 0.0
while True:
    i += 1
    began = time.monotonic()
    add(i)
    longest = max(longest, time.monotonic() - began)
    time.sleep(0.005)
    if i % 20 == 0:
        print(i, longest, flush=True)
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    return make_orm(tmp_path / "app" / "store.db")


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    return tmp_path / "backups"


def content(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM credentials ORDER BY rowid").fetchall()


def while_it_is_proven(backups: Path, change: Callable[[Path], None]) -> Callable[[], datetime]:
    """A clock at whose second reading, after the source was read, the unproven copy is changed."""
    readings = []

    def clock() -> datetime:
        if readings:
            [copy] = backups.glob("*.partial/store.db")
            change(copy)
        readings.append(1)
        return now()

    return clock


@pytest.mark.parametrize("own_process_bytes", [OWN_PROCESS, 1 << 40])
def test_a_snapshot_holds_what_the_source_holds(store: Path, backups: Path, own_process_bytes: int) -> None:
    before = bytes_of(store.parent)
    snapshot = take_snapshot(store, backups, KEY, now, "run-1", own_process_bytes=own_process_bytes)
    assert content(snapshot.path) == content(store)
    assert bytes_of(store.parent) == before
    assert snapshot.path == snapshot_path(backups, snapshot.name)
    assert snapshot.manifest.counts == {"credentials": 3, "credential_tags": 3}
    assert snapshot.manifest.shape.flavour == "orm"
    assert [p.name for p in backups.iterdir()] == [snapshot.name]
    assert sorted(p.name for p in snapshot.path.parent.iterdir()) == [MANIFEST_NAME, "store.db"]


def test_a_store_without_credentials_is_a_snapshot_of_nothing(tmp_path: Path, backups: Path) -> None:
    path = make_file(tmp_path / "store.db", SCRIPT["tags"], SCRIPT["credential_tags"])
    snapshot = take_snapshot(path, backups, KEY, now, "run")
    assert snapshot.manifest.counts == {"tags": 0, "credential_tags": 0}
    assert snapshot.shape.flavour == "empty"


def test_an_unknown_shape_leaves_nothing_behind(tmp_path: Path, backups: Path) -> None:
    path = make_file(tmp_path / "store.db", "CREATE TABLE users (id)")
    with pytest.raises(ShapeRefused):
        take_snapshot(path, backups, KEY, now, "run")
    assert list(backups.iterdir()) == []


def test_files_are_0600_and_folders_0700_whatever_the_umask(store: Path, backups: Path) -> None:
    former = os.umask(0)
    try:
        snapshot = take_snapshot(store, backups / "new", KEY, now, "run")
    finally:
        os.umask(former)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in [backups / "new", *(backups / "new").rglob("*")]}
    assert modes == {"new": 0o700, snapshot.name: 0o700, "store.db": 0o600, MANIFEST_NAME: 0o600}


def test_a_name_begins_with_the_time_in_utc_and_ends_with_a_harmless_label(store: Path, backups: Path) -> None:
    moment = datetime(2025, 4, 3, 12, 30, 15, 42, tzinfo=timezone(timedelta(hours=2)))
    snapshot = take_snapshot(store, backups, KEY, lambda: moment, "run/../1 x")
    assert snapshot.name == "20250403T103015000042Z-run----1-x"


def test_the_span_of_the_read_is_by_the_given_clock(store: Path, backups: Path) -> None:
    moments = [datetime(2025, 4, 3, 10), datetime(2025, 4, 3, 11)]
    snapshot = take_snapshot(store, backups, KEY, iter(moments).__next__, "run")
    assert snapshot.manifest.began_at == datetime(2025, 4, 3, 10, tzinfo=UTC)
    assert snapshot.manifest.ended_at == datetime(2025, 4, 3, 11, tzinfo=UTC)


def test_rows_that_stand_in_the_wal_alone_are_in_the_snapshot(tmp_path: Path, backups: Path) -> None:
    """`cp` of the main file gives a file without tables here, and integrity_check calls it ok."""
    path = tmp_path / "store.db"
    make = "\n".join(f"connection.executescript('''{ddl}''')" for ddl in ORM.values())
    run_and_die(f"connection.execute('PRAGMA journal_mode=WAL')\n{make}\nadd(1)", path)
    shutil.copy(path, tmp_path / "cp.db")
    with closing(sqlite3.connect(tmp_path / "cp.db")) as copied:
        assert copied.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert copied.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    assert take_snapshot(path, backups, KEY, now, "run").manifest.counts["credentials"] == 1


def test_the_snapshot_of_a_wal_source_stands_alone(store: Path, backups: Path) -> None:
    """The backup copies the header's WAL flag; such a copy could not be read in a folder without write rights."""
    make_file(store, "PRAGMA journal_mode=WAL")
    snapshot = take_snapshot(store, backups, KEY, now, "run")
    assert snapshot.path.read_bytes()[18:20] == b"\x01\x01"
    assert sorted(p.name for p in snapshot.path.parent.iterdir()) == [MANIFEST_NAME, "store.db"]


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_source_in_use_gives_one_consistent_moment(store: Path, backups: Path, mode: str) -> None:
    """The writer adds a credential and its association in one transaction, all the time."""
    with writer(COMMITTING.replace("MODE", mode), store) as process:
        assert process.stdout
        taken = [take_snapshot(store, backups, KEY, now, f"run-{i}", busy_wait_s=60).manifest for i in range(4)]
        i, longest_s = process.stdout.readline().split()
        assert process.poll() is None
    counts = [manifest.counts for manifest in taken]
    assert all(count["credentials"] == count["credential_tags"] for count in counts)
    assert counts[0]["credentials"] <= counts[-1]["credentials"]
    assert int(i) > 0
    assert [manifest.way for manifest in taken] == ["in place"] * 4
    blocked = [manifest.writers_blocked_s for manifest in taken]
    assert blocked == [0] * 4 if mode == "WAL" else min(blocked) > 0
    assert float(longest_s) < 30


def test_a_wal_source_with_an_idle_writer_keeps_its_bytes(store: Path, backups: Path) -> None:
    """The last connection to close would write the -wal back and delete it, if it had the right to."""
    script = "connection.execute('PRAGMA journal_mode=WAL'); add(1); print('ready', flush=True); sys.stdin.read()"
    with writer(script, store) as process:
        before = bytes_of(store.parent)
        assert "store.db-wal" in before
        snapshot = take_snapshot(store, backups, KEY, now, "run")
        assert bytes_of(store.parent) == before
        process.kill()
        process.wait()
        take_snapshot(store, backups, KEY, now, "run")
        assert bytes_of(store.parent) == before
    assert snapshot.manifest.counts["credentials"] == 4


def test_nobody_takes_a_snapshot_from_a_folder_that_refuses_him(
    ground: Path, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    (ground / "app").mkdir()
    (ground / "home").mkdir()
    (ground / "home").chmod(0o777)
    path = make_orm(ground / "app" / "store.db")
    run_and_die("connection.execute('PRAGMA journal_mode=WAL'); add(1)", path)
    path.with_name("store.db-shm").unlink()
    before = bytes_of(path.parent)
    (ground / "app").chmod(0o555)
    with unprivileged():
        snapshot = take_snapshot(path, ground / "home" / "backups", KEY, now, "run")
        assert prove_snapshot(snapshot.path, KEY) == snapshot
    assert snapshot.manifest.way == "private copy"
    assert snapshot.manifest.counts["credentials"] == 4
    assert bytes_of(path.parent) == before


def test_a_writer_that_holds_on_makes_the_source_busy(store: Path, backups: Path) -> None:
    script = "connection.execute('BEGIN EXCLUSIVE'); print('ready', flush=True); sys.stdin.read()"
    with writer(script, store), pytest.raises(SourceBusy, match="stop the application"):
        take_snapshot(store, backups, KEY, now, "run", busy_wait_s=0.1)
    assert list(backups.iterdir()) == []


WRITING = """
connection.execute("PRAGMA journal_mode=MODE")
connection.execute("BEGIN IMMEDIATE")
connection.execute("DELETE FROM credentials")
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("mode", ["DELETE", "PERSIST", "TRUNCATE"])
def test_a_writer_is_not_kept_waiting_beyond_the_cap(store: Path, backups: Path, mode: str) -> None:
    with (
        writer(WRITING.replace("MODE", mode), store),
        pytest.raises(SourceError, match=r"given up after 0 s.*Run it when the application is stopped"),
    ):
        take_snapshot(store, backups, KEY, now, "run", writers_blocked_max_s=0)
    assert list(backups.iterdir()) == []


@pytest.mark.parametrize("mode", ["DELETE", "PERSIST", "TRUNCATE"])
def test_a_copy_that_no_writer_waits_for_may_take_its_time(store: Path, backups: Path, mode: str) -> None:
    """The cap once held for a stopped application too, so that what the message advised did not help."""
    run_and_die(f"connection.execute('PRAGMA journal_mode={mode}'); add(1)", store)
    assert take_snapshot(store, backups, KEY, now, "run", writers_blocked_max_s=0).manifest.writers_blocked_s > 0


def test_a_writer_of_a_wal_store_never_waits(store: Path, backups: Path) -> None:
    with writer(WRITING.replace("MODE", "WAL"), store):
        snapshot = take_snapshot(store, backups, KEY, now, "run", writers_blocked_max_s=0)
    assert snapshot.manifest.writers_blocked_s == 0
    assert snapshot.manifest.counts["credentials"] == 3


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE credentials SET password = 'other' WHERE id = 'c1'",
        "DELETE FROM credential_tags WHERE id = 'l1'",
        "UPDATE credentials SET success_count = CAST(success_count AS BLOB)",
        "PRAGMA journal_mode = WAL",
    ],
)
def test_a_copy_that_differs_from_the_source_is_not_kept(store: Path, backups: Path, change: str) -> None:
    clock = while_it_is_proven(backups, lambda copy: make_file(copy, change) and None)
    with pytest.raises(SnapshotNotProven):
        take_snapshot(store, backups, KEY, clock, "run")
    assert list(backups.iterdir()) == []


def test_a_copy_that_cannot_be_read_is_not_kept(store: Path, backups: Path) -> None:
    clock = while_it_is_proven(backups, lambda copy: os.truncate(copy, 5000))
    with pytest.raises(SnapshotNotProven):
        take_snapshot(store, backups, KEY, clock, "run")


def test_a_damaged_source_is_told_from_a_bad_copy(store: Path, backups: Path) -> None:
    swap = "UPDATE sqlite_master SET sql = replace(sql, '(name)', '(username)') WHERE name = 'ix_credentials_name'"
    make_file(store, f"PRAGMA writable_schema=on; {swap}")
    with pytest.raises(SnapshotNotProven, match=r"integrity_check finds \d+ problems.*the source itself is damaged"):
        take_snapshot(store, backups, KEY, now, "run")


def test_a_folder_that_takes_no_snapshot_is_said(store: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SnapshotNotProven, match=r"EEXIST.*CREDSTORE_BACKUP_DIR"):
        take_snapshot(store, tmp_path / "file", KEY, now, "run")


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, backups: Path) -> None:
    path = make_orm(tmp_path / "store.db", rows=2000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, limits[1]))
    try:
        with pytest.raises(SnapshotNotProven, match=r"could not be written \(SQLITE_.*Make room"):
            take_snapshot(path, backups, KEY, now, "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(backups.iterdir()) == []


def test_a_source_cut_short_is_a_source_error(tmp_path: Path, backups: Path) -> None:
    path = make_orm(tmp_path / "store.db", rows=2000)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(SourceError, match="SQLITE_CORRUPT"):
        take_snapshot(path, backups, KEY, now, "run")
    assert list(backups.iterdir()) == []


@pytest.mark.parametrize("own_process_bytes", [OWN_PROCESS, 1 << 40])
def test_a_snapshot_is_proven_again_later(store: Path, backups: Path, own_process_bytes: int) -> None:
    snapshot = take_snapshot(store, backups, KEY, now, "run")
    assert prove_snapshot(snapshot.path, KEY, own_process_bytes=own_process_bytes) == snapshot


def test_an_altered_snapshot_is_not_proven(store: Path, backups: Path) -> None:
    path = take_snapshot(store, backups, KEY, now, "run").path
    make_file(path, "UPDATE credentials SET password = 'other' WHERE id = 'c1'")
    with pytest.raises(SnapshotNotProven, match="SHA-256"):
        prove_snapshot(path, KEY)


def test_a_manifest_altered_to_fit_an_altered_snapshot_is_not_proven(store: Path, backups: Path) -> None:
    snapshot = take_snapshot(store, backups, KEY, now, "run")
    manifest = snapshot.path.with_name(MANIFEST_NAME)
    manifest.write_text(manifest.read_text().replace(snapshot.manifest.sha256, "0" * 64))
    with pytest.raises(SnapshotNotProven, match="manifest was altered"):
        prove_snapshot(snapshot.path, KEY)


def test_another_key_does_not_prove_a_snapshot(store: Path, backups: Path) -> None:
    path = take_snapshot(store, backups, KEY, now, "run").path
    with pytest.raises(SnapshotNotProven, match="another target key"):
        prove_snapshot(path, b"k" * 32)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"seal": 1, "format": 99}', '{"seal": "x"}'])
def test_a_manifest_that_cannot_be_read_checks_nothing(store: Path, backups: Path, text: str) -> None:
    path = take_snapshot(store, backups, KEY, now, "run").path
    path.with_name(MANIFEST_NAME).write_text(text)
    with pytest.raises(CouldNotCheck):
        prove_snapshot(path, KEY)


@pytest.mark.parametrize("gone", [MANIFEST_NAME, "store.db"])
def test_a_missing_file_checks_nothing(store: Path, backups: Path, gone: str) -> None:
    path = take_snapshot(store, backups, KEY, now, "run").path
    path.with_name(gone).unlink()
    with pytest.raises(CouldNotCheck):
        prove_snapshot(path, KEY)


@pytest.mark.parametrize("file", ["store.db", "."])
def test_a_snapshot_that_others_may_read_is_not_taken_as_proof(store: Path, backups: Path, file: str) -> None:
    path = take_snapshot(store, backups, KEY, now, "run").path
    (path.parent / file).chmod(0o755)
    with pytest.raises(CouldNotCheck, match="chmod"):
        prove_snapshot(path, KEY)


def test_the_manifest_has_what_a_restore_without_keys_needs(store: Path, backups: Path) -> None:
    snapshot = take_snapshot(store, backups, KEY, now, "run")
    text = snapshot.path.with_name(MANIFEST_NAME).read_text()
    for fact in (snapshot.manifest.sha256, str(store), '"flavour": "orm"', '"credentials": 3', KEY.hex()):
        assert (fact in text) is (fact != KEY.hex())


def test_text_that_is_not_utf8_is_proven_to_the_byte(store: Path, backups: Path) -> None:
    make_file(store, "UPDATE credentials SET name = CAST(x'ff00fe' AS TEXT) WHERE id = 'c1'")
    snapshot = take_snapshot(store, backups, KEY, now, "run")
    with closing(sqlite3.connect(snapshot.path)) as connection:
        name = connection.execute("SELECT typeof(name), hex(name) FROM credentials WHERE id = 'c1'").fetchone()
    assert name == ("text", "FF00FE")
