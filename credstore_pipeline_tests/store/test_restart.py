"""The real server is started late, restarted and crashed under load; every answer and every counter is checked."""

import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from credstore_pipeline.core.errors import CredstoreError
from credstore_pipeline.embedded import embedded_server
from credstore_pipeline.embedded.account import server_account
from credstore_pipeline.embedded.binaries import find_binaries
from credstore_pipeline.embedded.cluster import Cluster
from credstore_pipeline.embedded.home import open_home
from credstore_pipeline.store import CredentialStore, OutcomeUnknown, StoreSettings

# What was committed has to be there after a crash of the server, though not after one of the machine.
SURVIVING = {"fsync": "off", "synchronous_commit": "on", "shared_buffers": "32MB", "autovacuum": "off"}
PATIENT = StoreSettings(
    pool_size=8, attempts=10_000, retry_max_s=300, first_wait_s=0.02, longest_wait_s=0.2, jitter_s=0.02
)
PASSWORDS = {f"c{number}": f"password {number}" for number in range(4)}


class Restarted:
    """A server of the test's own that can be stopped and started."""

    def __init__(self, server, base: Path) -> None:
        self.url = server.url("restarted")
        account = server_account()
        home = open_home(base, account)
        self._cluster = Cluster(home, account, find_binaries(account, home.data))

    def stop(self) -> None:
        self._cluster.stop()

    def start(self) -> None:
        self._cluster.start(None, SURVIVING)

    def crash(self) -> None:
        os.kill(self._cluster.pid, signal.SIGQUIT)
        while self._cluster.is_running():
            time.sleep(0.01)


@pytest.fixture(scope="module")
def server():
    base = Path(os.environ["CREDSTORE_TESTS_SERVER"]) / f"restarted-{os.getpid()}"
    with embedded_server(base, settings=SURVIVING) as running:
        yield Restarted(running, base)


@pytest.fixture
def store(server):
    with CredentialStore(server.url, "a key", settings=PATIENT) as store:
        store.initialize()
        yield store


def test_a_server_that_is_still_starting_is_waited_for(server, store):
    server.stop()
    began = time.monotonic()
    late = threading.Timer(1.0, server.start)
    late.start()
    with CredentialStore(server.url, "a key", settings=PATIENT) as early:
        early.initialize()
        assert early.list_tags() == []
    assert time.monotonic() - began > 0.5
    late.join()


def test_no_write_is_lost_and_no_answer_wrong_while_the_server_restarts(server, store):
    tag = store.add_tag("Routers")
    ids = {store.add_credential(name, "admin", word, tags=[tag]): word for name, word in PASSWORDS.items()}
    ended = threading.Event()
    counted, unknown, added, wrong = Counter(), Counter(), [], []

    def write(turn: int) -> None:
        one = list(ids)[turn % len(ids)]
        while not ended.is_set():
            try:
                assert store.update_credential_status(one, tag, True) is True
                counted[turn] += 1
            except OutcomeUnknown:
                unknown[turn] += 1
            except (CredstoreError, AssertionError) as error:
                wrong.append(error)
                return

    def add() -> None:
        while not ended.is_set():
            try:
                added.append(store.add_credential("added", "admin", "later"))
            except OutcomeUnknown:
                unknown["added"] += 1
            except CredstoreError as error:
                wrong.append(error)
                return

    def read() -> None:
        while not ended.is_set():
            try:
                found = {one.id: one.password for one in store.get_credentials_by_tag(tag)}
            except CredstoreError as error:
                wrong.append(error)
                return
            if found != ids:
                wrong.append(found)

    threads = [threading.Thread(target=write, args=(turn,)) for turn in range(5)]
    threads += [threading.Thread(target=add), threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    for stop in (server.stop, server.crash, server.stop, server.crash):
        time.sleep(0.5)
        stop()
        server.start()
    time.sleep(0.5)
    ended.set()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert min(counted[turn] for turn in range(5)) > 0
    total = sum(counted.values())
    credentials = {one.id: one for one in store.list_credentials(limit=100_000)}
    for counters in (
        sum(credentials[one].success_count for one in ids),
        sum(link.success_count for link in store.list_associations(tag_id=tag)),
    ):
        # Only a crash in the very moment of a COMMIT leaves its outcome open, and then that was said.
        assert total <= counters <= total + sum(number for turn, number in unknown.items() if turn != "added")
    assert set(added) <= set(credentials)
    assert len(credentials) - len(ids) - len(added) <= unknown["added"]
