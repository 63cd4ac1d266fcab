"""A connection that is lost in the moment of COMMIT: through a socket that cuts it there."""

import contextlib
import shutil
import socket
import tempfile
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from credstore_pipeline.core.errors import TransientTargetError
from credstore_pipeline.store import OutcomeUnknown, StoreSettings
from credstore_pipeline.store.outcome import Outcome, ask_outcome

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"


class Cutter:
    """Passes everything on, but cuts the connection around the first COMMITs that it is told to."""

    def __init__(self, server: str) -> None:
        self.folder = tempfile.mkdtemp(prefix="cut-", dir="/tmp")
        self._server = f"{server}/.s.PGSQL.5432"
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(f"{self.folder}/.s.PGSQL.5432")
        self._listening.listen()
        self.plan: list[str] = []
        self.commits = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()
        shutil.rmtree(self.folder)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server)
            answers = threading.Event()
            answers.set()
            for way in ((client, server, answers), (server, client, answers)):
                threading.Thread(target=self._pass_on, args=way, daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, answers: threading.Event) -> None:
        what = "pass"
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if data == COMMIT:
                    self.commits += 1
                    what = self.plan.pop(0) if self.plan else "pass"
                    if what.startswith("before"):
                        break
                    if what == "after":
                        answers.clear()
                elif not answers.is_set() and data[:1] == b"C":
                    # The server's answer to COMMIT, which the client never sees.
                    break
                sink.sendall(data)
        if what == "before, and for good":
            Path(f"{self.folder}/.s.PGSQL.5432").unlink()
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def cutter(database):
    cutter = Cutter(database.url.query["host"])
    yield cutter
    cutter.close()


@pytest.fixture
def cut(store, make_store, database, cutter):
    """A store whose connections go through the cutter."""
    return make_store(url=database.url.update_query_dict({"host": cutter.folder}))


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("times", [1, 3])
def test_an_increment_is_counted_exactly_once(store, cut, cutter, sql, where, times):
    store.add_tag("Routers", tag_id="routers")
    one = store.add_credential("Core", "admin", tags=["routers"])
    cutter.plan = [where] * times
    assert cut.update_credential_status(one, "routers", True) is True
    assert sql("SELECT c.success_count, t.success_count FROM credentials c, credential_tags t") == [(1, 1)]
    # What was committed is not tried again.
    assert cutter.commits == (times + 1 if where == "before" else 1)


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_credential_is_added_exactly_once(cut, cutter, sql, where):
    cutter.plan = [where]
    one = cut.add_credential("Core", "admin", "secret")
    assert sql("SELECT id FROM credentials") == [(one,)]


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_deletion_tells_that_it_deleted(store, cut, cutter, where):
    one = store.add_credential("Core", "admin")
    cutter.plan = [where]
    assert cut.delete_credential(one) is True


def test_a_server_that_stays_away_leaves_the_outcome_unknown(store, make_store, cutter, database, sql):
    one = store.add_credential("Core", "admin")
    settings = StoreSettings(attempts=4, first_wait_s=0.01, jitter_s=0.01)
    cut = make_store(url=database.url.update_query_dict({"host": cutter.folder}), settings=settings)
    cutter.plan = ["before, and for good"]
    with pytest.raises(OutcomeUnknown, match="Look whether it is there before you repeat it") as caught:
        cut.update_credential_status(one, None, True)
    assert f"credentials id={one}" in str(caught.value)
    assert sql("SELECT success_count FROM credentials") == [(0,)]


@pytest.fixture
def engine(store):
    return store._transactions.engine


def number_and_mark(engine, end):
    with engine.connect() as connection:
        mark = connection.info["crash_mark"]
        connection.execute(sa.text("BEGIN"))
        number = connection.execute(sa.text("SELECT txid_current()")).scalar_one()
        connection.execute(sa.text(end))
    return number, mark


def asked(engine, number, mark):
    with Session(engine) as session:
        return ask_outcome(session, number, mark)


def test_the_server_tells_committed_from_rolled_back(engine):
    assert asked(engine, *number_and_mark(engine, "COMMIT")) is Outcome.COMMITTED
    assert asked(engine, *number_and_mark(engine, "ROLLBACK")) is Outcome.ABORTED


def test_after_a_crash_committed_may_speak_of_another_transaction(engine):
    """A crashed server gives out again the numbers that it lost: seen with an immediate stop under load."""
    committed, _ = number_and_mark(engine, "COMMIT")
    aborted, _ = number_and_mark(engine, "ROLLBACK")
    for before in ("2026-01-01 00:00:00+00", None):
        assert asked(engine, committed, before) is Outcome.UNKNOWN
        assert asked(engine, aborted, before) is Outcome.ABORTED


def test_a_number_that_was_never_given_out_was_lost_with_its_transaction(engine):
    number, mark = number_and_mark(engine, "COMMIT")
    assert asked(engine, number + 1_000_000, mark) is Outcome.ABORTED


def test_a_transaction_that_goes_on_is_asked_for_again(engine):
    with engine.connect() as connection:
        mark = connection.info["crash_mark"]
        connection.execute(sa.text("BEGIN"))
        number = connection.execute(sa.text("SELECT txid_current()")).scalar_one()
        with pytest.raises(TransientTargetError):
            asked(engine, number, mark)
        connection.execute(sa.text("ROLLBACK"))
