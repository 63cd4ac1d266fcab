"""The exchange of two files, stopped before each thing that it asks of the operating system."""

import errno
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from credstore_pipeline.core.errors import SourceBusy
from credstore_pipeline.core.rollback.exchange import exchanged

NO_LINKS = OSError(errno.EPERM, "a file system without hard links")


def made(path, said, mode):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("CREATE TABLE tags (name)")
        connection.execute("INSERT INTO tags VALUES (?)", (said,))
        connection.commit()
    return path


def says(path):
    with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True)) as connection:
        return connection.execute("SELECT name FROM tags").fetchone()[0]


@pytest.fixture(params=["delete", "wal"])
def files(request, tmp_path):
    def make(name, *, archived=False):
        folder = tmp_path / name
        folder.mkdir()
        store = folder / "store.db"
        old = made(folder / "store.db.cutover-1" if archived else store, "old", request.param)
        return made(folder / "new", "new", "delete"), store, old

    return make


def names(store):
    return sorted(path.name for path in store.parent.iterdir())


@pytest.mark.parametrize("links", [True, False])
def test_the_stores_name_is_never_without_a_file(files, watch, links):
    """Found between two renames: killed there, every job said that there is no such file."""
    new, store, old = files("one")
    missed = []

    def look(event, arguments):
        if not store.exists():
            missed.append((event, arguments))
        if event == "os.link" and not links:
            raise NO_LINKS

    look.then = look
    with watch.calling(look), exchanged(new, store, old) as exchange:
        pass
    assert missed == []
    assert (says(store), says(exchange.aside)) == ("new", "old")
    assert names(store) == ["store.db", exchange.aside.name]
    assert store.stat().st_nlink == exchange.aside.stat().st_nlink == 1


@pytest.mark.parametrize("archived", [False, True])
@pytest.mark.parametrize("links", [True, False])
def test_whatever_step_it_is_interrupted_at_the_old_file_is_back(files, watch, links, archived):
    at, interrupted = 0, True
    while interrupted:
        new, store, old = files(str(at), archived=archived)
        before, left, interrupted = names(store), at, False

        def stop(event, _):
            nonlocal left, interrupted
            if interrupted:
                return
            if left == 0:
                interrupted = True
                raise KeyboardInterrupt
            left -= 1
            if event == "os.link" and not links:
                raise NO_LINKS

        stop.then = stop
        try:
            with watch.calling(stop), exchanged(new, store, old):
                watch.each = None
        except KeyboardInterrupt:
            assert says(old) == "old", at
            # The new file is gone, or under its own name.
            assert set(before) - {"new"} <= set(names(store)) <= set(before), at
        at += 1
    assert at > 3


def test_what_its_block_raises_puts_the_old_file_back_with_nothing_beside_it(files):
    new, store, old = files("one")
    with pytest.raises(KeyError), exchanged(new, store, old):
        with closing(sqlite3.connect(store)) as connection:
            connection.execute("UPDATE tags SET name = 'written into the new one'")
        raise KeyError
    assert says(store) == "old"
    assert names(store) == ["store.db"]


def test_what_came_into_being_at_an_archived_stores_path_is_not_overwritten(files, watch):
    new, store, old = files("one", archived=True)

    def come(event, _):
        if event == "os.link":
            store.write_bytes(b"an old container's")
            return False
        return True

    with pytest.raises(SourceBusy, match="came into being"), watch.calling(come), exchanged(new, store, old):
        pass
    assert store.read_bytes() == b"an old container's"
    assert says(old) == "old"


def test_the_second_name_that_a_killed_run_left_is_gone_with_the_next_exchange(files):
    new, store, old = files("one")
    (store.parent / "store.db.before-rollback-20200101T000000Z").hardlink_to(store)
    with exchanged(new, store, old) as exchange:
        assert names(store) == ["store.db", exchange.aside.name]


def test_what_an_exchange_of_the_same_second_left_aside_stays(files):
    """Found with a rollback that was killed and launched again at once."""
    new, store, old = files("one")
    now = datetime.now(UTC)
    taken = [f"store.db.before-rollback-{now + timedelta(seconds=s):%Y%m%dT%H%M%SZ}" for s in range(600)]
    for name in taken:
        store.with_name(name).write_text("left by another")
    with exchanged(new, store, old) as exchange:
        assert exchange.aside.name not in taken
    assert (says(store), says(exchange.aside)) == ("new", "old")
    assert {store.with_name(name).read_text() for name in taken} == {"left by another"}
