import threading
import time

import pytest

from credstore_pipeline.core.errors import KeyRingError
from credstore_pipeline.demo.encodings import Pen, default_key, file_key
from credstore_pipeline.demo.grains import Grains
from credstore_pipeline.store import SecretUnopenable
from credstore_pipeline.store.reencryption import ReencryptionOperations
from credstore_pipeline_tests.store.conftest import KEY

NEW = "the new key"


@pytest.fixture
def turned(make_store, store):
    """A store that seals under the new key and opens under the old one."""
    return make_store(NEW, retired_keys=[KEY])


def passwords(store, ids):
    return [store.get_credential(one).password for one in ids]


def stored(sql):
    return dict(sql("SELECT id, password FROM credentials"))


def test_every_password_is_sealed_under_the_new_key_and_counted_by_the_old(store, turned, make_store, sql):
    ids = [store.add_credential(f"c{number}", "admin", f"p{number}") for number in range(25)]
    ids += [store.add_credential("bare", "admin", None), turned.add_credential("new", "admin", "newest")]
    plain = store.add_credential("plain", "admin")
    sql("UPDATE credentials SET password = 'in clear' WHERE id = %s", plain)
    empty = store.add_credential("empty", "admin")
    sql("UPDATE credentials SET password = '' WHERE id = %s", empty)
    before = stored(sql)
    done = turned.reencrypt_all_credentials(batch_size=7)
    assert done.by_key == {"default": 1, "empty": 1, "null": 1, "plaintext": 1, "retired_keys[0]": 25}
    assert (done.total, done.success, done.failed, done.batches, done.rewritten) == (29, 27, 0, 5, 26)
    assert stored(sql)[ids[-1]] == before[ids[-1]]
    fresh = make_store(NEW)
    assert passwords(fresh, ids) == [*(f"p{number}" for number in range(25)), None, "newest"]
    assert passwords(fresh, [plain, empty]) == ["in clear", None]


def test_doing_it_again_changes_nothing(store, turned, sql):
    store.add_credential("c", "admin", "p")
    turned.reencrypt_all_credentials()
    before = sql("SELECT xmin::text, c::text FROM credentials c")
    assert turned.reencrypt_all_credentials().rewritten == 0
    assert sql("SELECT xmin::text, c::text FROM credentials c") == before


def test_no_time_and_no_counter_is_touched(store, turned, sql):
    store.update_credential_status(store.add_credential("c", "admin", "p"), None, True)
    rest = "SELECT id, updated_at, created_at, last_used, success_count FROM credentials"
    before = sql(rest)
    turned.reencrypt_all_credentials()
    assert sql(rest) == before


def test_what_does_not_open_is_named_and_nothing_is_written(store, turned, make_store, sql):
    """The application's store wrapped such rows in a further layer and counted them as done."""
    for number in range(20):
        store.add_credential(f"c{number}", "admin", "p")
    lost = sorted(make_store("a lost key").add_credential("lost", "admin", "p") for _ in range(10))
    wrapped = Pen(Grains("x")).wrap(Pen(Grains("y")).envelope("p", file_key(Grains("z"), "lost")), default_key(KEY))
    sql("UPDATE credentials SET password = %s WHERE id = %s", wrapped.value, lost[0])
    before = sql("SELECT xmin::text, c::text FROM credentials c ORDER BY id")
    with pytest.raises(SecretUnopenable, match=f"credentials id={', '.join(lost[:8])} and 2 more: "):
        turned.reencrypt_all_credentials(batch_size=4)
    assert sql("SELECT xmin::text, c::text FROM credentials c ORDER BY id") == before


def test_a_failure_in_the_middle_rolls_everything_back(store, turned, sql):
    for number in range(10):
        store.add_credential(f"c{number}", "admin", "p")
    before = sql("SELECT xmin::text, c::text FROM credentials c ORDER BY id")
    told = []

    def fail(*numbers):
        told.append(numbers)
        if len(told) == 2:
            raise RuntimeError("a callback's own fault")

    with pytest.raises(RuntimeError):
        turned.reencrypt_all_credentials(batch_size=3, progress_callback=fail)
    assert told == [(3, 10, 3, 0), (6, 10, 6, 0)]
    assert sql("SELECT xmin::text, c::text FROM credentials c ORDER BY id") == before


def test_a_password_set_meanwhile_stays_and_a_deleted_row_stays_deleted(store, turned, make_store, sql):
    ids = sorted(store.add_credential(f"c{number}", "admin", "old") for number in range(4))
    clear = sorted(ids)[3]

    class Interrupted(ReencryptionOperations):
        """Lets another client in between the reading of a batch and its writing."""

        def _seal_batch(self, session, batch):
            if batch[0].id == ids[0]:
                store.update_credential(ids[1], password="set meanwhile")
                store.delete_credential(ids[2])
                sql("UPDATE credentials SET password = NULL WHERE id = %s", clear)
            return super()._seal_batch(session, batch)

    done = Interrupted(turned._transactions, turned._vault).reencrypt_all_credentials()
    assert done.rewritten == 2
    fresh = make_store(NEW)
    assert passwords(fresh, [ids[0], ids[1], clear]) == ["old", "set meanwhile", None]
    assert fresh.get_credential(ids[2]) is None


def test_many_more_rows_than_a_batch_are_all_done_while_others_use_them(store, turned, make_store, sql):
    """The application paged without an order, and PostgreSQL left half of 1,000 rows under the old key."""
    one = store.add_credential("c", "admin", "p")
    sql(
        "INSERT INTO credentials (id, name, username, password, success_count)"
        " SELECT 'n' || n, 'c', 'admin', c.password, 0 FROM generate_series(1, 1500) n, credentials c WHERE c.id = %s",
        one,
    )
    ended = threading.Event()
    used = []

    def use():
        while not ended.is_set():
            used.append(store.update_credential_status(f"n{len(used) % 300 + 1}", None, True))

    user = threading.Thread(target=use)
    user.start()
    try:
        done = turned.reencrypt_all_credentials(batch_size=100)
    finally:
        ended.set()
        user.join()
    assert (done.total, done.rewritten, done.by_key) == (1501, 1501, {"retired_keys[0]": 1501})
    assert make_store(NEW).reencrypt_all_credentials().rewritten == 0
    assert sql("SELECT sum(success_count) FROM credentials") == [(len(used),)]


def test_another_key_id_is_refused(store, turned):
    with pytest.raises(KeyRingError, match="default alone"):
        turned.reencrypt_all_credentials("key_0a1b2c3d")
    assert turned.reencrypt_all_credentials("default").total == 0


def test_an_impatient_server_does_not_end_it(own, store, turned, sql):
    sql(f"ALTER DATABASE {sql('SELECT current_database()')[0][0]} SET idle_in_transaction_session_timeout = '300ms'")
    turned.close()
    store.add_credential("c", "admin", "p")
    told = []
    turned.reencrypt_all_credentials(progress_callback=lambda *numbers: (told.append(numbers), time.sleep(0.6)))
    assert told == [(1, 1, 1, 0)]
