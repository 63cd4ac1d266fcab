"""A source is read in whatever state it is, and no byte of it changes."""

import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest

from credstore_pipeline.core.errors import ShapeRefused, SourceBusy, SourceError
from credstore_pipeline.core.source.connect import open_source, source_hint
from credstore_pipeline.core.source.still_copy import Moved, still_copy
from credstore_pipeline_tests.core.source.legacy_files import bytes_of, make_file, make_orm, run_and_die, writer

Someone = Callable[[], AbstractContextManager[None]]

WAL = "connection.execute('PRAGMA journal_mode=WAL'); connection.execute('PRAGMA wal_autocheckpoint=0');"
IDLE = "print('ready', flush=True); sys.stdin.read()"
BIG_UPDATE = """
connection.execute("PRAGMA cache_size=1")
connection.execute("BEGIN")
connection.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
    " INSERT INTO credentials (id, name, username, password) SELECT 'x' || i, 'n', 'u', hex(randomblob(200)) FROM n")
connection.execute("UPDATE credentials SET name = 'half written'")
"""


@contextmanager
def rollback_journal(path: Path) -> Iterator[int]:
    """Nobody has it open."""
    make_orm(path)
    yield 3


@contextmanager
def rollback_journal_with_a_writer(path: Path) -> Iterator[int]:
    """A writer is inside a transaction that it has not begun to write out."""
    make_orm(path)
    script = "connection.execute('BEGIN IMMEDIATE'); connection.execute('DELETE FROM credentials');" + IDLE
    with writer(script, path):
        yield 3


@contextmanager
def hot_journal(path: Path) -> Iterator[int]:
    """A writer died in the middle of writing out a transaction."""
    make_orm(path)
    run_and_die(BIG_UPDATE, path)
    assert path.with_name("store.db-journal").stat().st_size > 0
    yield 3


@contextmanager
def wal_closed_cleanly(path: Path) -> Iterator[int]:
    """In WAL mode, with no file beside it."""
    make_orm(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    yield 3


@contextmanager
def wal_with_a_live_writer(path: Path) -> Iterator[int]:
    """The newest row is in the -wal alone."""
    make_orm(path)
    with writer(f"{WAL} add(1); {IDLE}", path):
        yield 4


@contextmanager
def wal_with_a_dead_writer(path: Path) -> Iterator[int]:
    """Its -wal and -shm are left."""
    make_orm(path)
    run_and_die(f"{WAL} add(1)", path)
    yield 4


@contextmanager
def wal_without_shm(path: Path) -> Iterator[int]:
    """Someone copied the file and its -wal."""
    make_orm(path)
    run_and_die(f"{WAL} add(1)", path)
    path.with_name("store.db-shm").unlink()
    yield 4


@contextmanager
def all_in_the_wal(path: Path) -> Iterator[int]:
    """The main file has nothing but a header: read alone, it has no tables."""
    run_and_die(f"{WAL}\n{_MAKE}", path)
    path.with_name("store.db-shm").unlink()
    yield 0


_MAKE = """
connection.execute("CREATE TABLE credentials (id TEXT, name TEXT, username TEXT, password TEXT)")
"""
STATES = [
    (rollback_journal, "in place"),
    (rollback_journal_with_a_writer, "in place"),
    (hot_journal, "private copy"),
    (wal_closed_cleanly, "private copy"),
    (wal_with_a_live_writer, "in place"),
    (wal_with_a_dead_writer, "in place"),
    (wal_without_shm, "private copy"),
    (all_in_the_wal, "private copy"),
]


@pytest.mark.parametrize("folder_is_ours", [True, False])
@pytest.mark.parametrize(("state", "way"), STATES, ids=[state.__name__ for state, _ in STATES])
def test_every_state_is_read_whole_and_left_as_it_was(
    ground: Path, unprivileged: Someone, state: Callable, way: str, folder_is_ours: bool
) -> None:
    folder = ground / "app"
    folder.mkdir()
    copies = ground / "copies"
    copies.mkdir()
    copies.chmod(0o777)
    path = folder / "store.db"
    with state(path) as rows:
        before = bytes_of(folder)
        if not folder_is_ours:
            folder.chmod(0o555)
        with nullcontext() if folder_is_ours else unprivileged(), open_source(path, copies=copies) as source:
            assert source.way == way
            assert source.connection.execute("SELECT count(*) FROM credentials").fetchone() == (rows,)
            assert not source.connection.execute("SELECT 1 FROM credentials WHERE name = 'half written'").fetchall()
        assert bytes_of(folder) == before
    assert list(copies.iterdir()) == []


def test_a_source_in_place_cannot_be_written_to(tmp_path: Path) -> None:
    path = make_orm(tmp_path / "store.db")
    with open_source(path, copies=tmp_path) as source, pytest.raises(sqlite3.OperationalError, match="readonly"):
        source.connection.execute("DELETE FROM credentials")


def test_a_private_copy_is_private_and_goes_away(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    path = tmp_path / "app" / "store.db"
    with wal_without_shm(path), open_source(path, copies=tmp_path / "copies"):
        [folder] = (tmp_path / "copies").iterdir()
        assert stat.S_IMODE(folder.parent.stat().st_mode) == stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(f.stat().st_mode) for f in folder.iterdir() if "shm" not in f.name} == {0o600}
    assert list((tmp_path / "copies").iterdir()) == []


def test_readers_of_a_wal_do_not_make_writers_wait(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with wal_with_a_live_writer(path), open_source(path, copies=tmp_path) as source:
        assert not source.writers_wait
        assert source.writers_blocked_s == 0


def test_a_rollback_journal_makes_writers_wait_and_the_time_is_measured(tmp_path: Path) -> None:
    path = make_orm(tmp_path / "store.db")
    with open_source(path, copies=tmp_path) as source:
        time.sleep(0.05)
        assert source.writers_wait
    measured = source.writers_blocked_s
    time.sleep(0.05)
    assert 0.05 <= measured == source.writers_blocked_s


def test_a_source_held_by_a_writer_is_waited_for(tmp_path: Path) -> None:
    path = make_orm(tmp_path / "store.db")
    hold = "connection.execute('BEGIN EXCLUSIVE'); print('ready', flush=True); time.sleep(0.4)"
    with (
        writer(f"{hold}; connection.execute('COMMIT')", path),
        open_source(path, copies=tmp_path, busy_wait_s=20) as source,
    ):
        assert source.connection.execute("SELECT count(*) FROM credentials").fetchone() == (3,)


def test_a_source_held_for_too_long_is_busy(tmp_path: Path) -> None:
    path = make_orm(tmp_path / "store.db")
    with (
        writer("connection.execute('BEGIN EXCLUSIVE');" + IDLE, path),
        pytest.raises(SourceBusy, match="locked"),
        open_source(path, copies=tmp_path, busy_wait_s=0.1),
    ):
        pass


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(SourceError, match=r"nothing\.db.*ENOENT"),
        open_source(tmp_path / "nothing.db", copies=tmp_path),
    ):
        pass


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no file"), open_source(tmp_path, copies=tmp_path):
        pass


def test_a_file_that_we_may_not_read_is_a_source_error(ground: Path, unprivileged: Someone) -> None:
    path = make_orm(ground / "store.db")
    path.chmod(0o000)
    with unprivileged(), pytest.raises(SourceError, match="EACCES"), open_source(path, copies=ground):
        pass


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"PK\x03\x04 CANARY" * 100)
    with (
        pytest.raises(SourceError, match="no SQLite file") as error,
        open_source(tmp_path / "store.db", copies=tmp_path),
    ):
        pass
    assert "CANARY" not in str(error.value)


def test_an_empty_file_is_refused_and_its_wal_stays(tmp_path: Path) -> None:
    """SQLite deletes the -wal of an empty file, even with mode=ro."""
    (tmp_path / "store.db").touch()
    (tmp_path / "store.db-wal").write_bytes(b"what is left")
    (tmp_path / "store.db-shm").touch()
    with pytest.raises(ShapeRefused, match="0 bytes"), open_source(tmp_path / "store.db", copies=tmp_path):
        pass
    assert (tmp_path / "store.db-wal").read_bytes() == b"what is left"


def test_a_path_with_signs_of_a_uri_is_opened_as_it_is(tmp_path: Path) -> None:
    path = make_orm(tmp_path / "a b?mode=rw#%41.db")
    with open_source(path, copies=tmp_path) as source:
        assert source.path == path


def test_a_link_leads_to_the_store_and_its_wal(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "app" / "store.db")
    with wal_without_shm(tmp_path / "app" / "store.db") as rows, open_source(link, copies=tmp_path) as source:
        assert source.connection.execute("SELECT count(*) FROM credentials").fetchone() == (rows,)


def test_a_copy_of_files_that_move_meanwhile_is_no_copy(tmp_path: Path) -> None:
    path = make_orm(tmp_path / "store.db")
    folder = tmp_path / "copy"
    folder.mkdir()

    class Moving(type(path)):
        """A path whose file is written to just before it is read for the second time."""

        reads = 0

        def open(self, *args: object, **kwargs: object):
            type(self).reads += 1
            if type(self).reads == 2:
                with path.open("r+b") as file:
                    file.seek(3000)
                    file.write(b"x")
            return super().open(*args, **kwargs)

    with pytest.raises(Moved):
        still_copy(Moving(path), folder)


def test_a_file_that_comes_while_the_others_are_copied_is_noticed(tmp_path: Path) -> None:
    path = make_orm(tmp_path / "store.db")
    folder = tmp_path / "copy"
    folder.mkdir()

    class Growing(type(path)):
        """A path beside which a -wal appears while it is read."""

        def open(self, *args: object, **kwargs: object):
            path.with_name("store.db-wal").touch()
            return super().open(*args, **kwargs)

    with pytest.raises(Moved):
        still_copy(Growing(path), folder)


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_the_hint_moves_with_each_commit_and_only_then(tmp_path: Path, mode: str) -> None:
    path = make_orm(tmp_path / "store.db")
    script = f"""
connection.execute("PRAGMA journal_mode={mode}")
add(0)
print("ready", flush=True)
for i, line in enumerate(sys.stdin):
    add(i + 1)
    print("done", flush=True)
"""
    with writer(script, path) as process:
        assert process.stdin
        assert process.stdout
        hints = [source_hint(path)]
        for _ in range(20):
            assert source_hint(path) == hints[-1]
            process.stdin.write("\n")
            process.stdin.flush()
            process.stdout.readline()
            hints.append(source_hint(path))
    assert len(set(hints)) == 21


def test_the_hint_moves_even_if_the_clock_does_not(tmp_path: Path) -> None:
    """Two commits within one tick of the file system's clock leave the same time, and often the same size."""
    path = make_orm(tmp_path / "store.db")
    hints = []
    for name in ("a", "b"):
        make_file(path, f"UPDATE credentials SET name = '{name}' WHERE id = 'c1'")
        os.utime(path, (0, 0))
        hints.append(source_hint(path))
    assert hints[0] != hints[1]


def test_the_hint_of_no_file_is_empty(tmp_path: Path) -> None:
    assert source_hint(tmp_path / "nothing.db") == ""
