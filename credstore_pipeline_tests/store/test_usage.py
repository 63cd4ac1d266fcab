import subprocess
import sys
import threading
from dataclasses import replace

import pytest
import sqlalchemy as sa

from credstore_pipeline_tests.store.conftest import QUICK


@pytest.fixture
def pair(store):
    """A credential under a tag."""
    store.add_tag("Routers", tag_id="routers")
    return store.add_credential("Core", "admin", "x", tags=["routers"]), "routers"


def counters(sql, table="credentials"):
    return sql(f"SELECT success_count, failure_count FROM {table}")


def test_a_success_is_counted_on_both_with_its_time(store, pair, sql):
    assert store.update_credential_status(*pair, success=True) is True
    for table in ("credentials", "credential_tags"):
        assert counters(sql, table) == [(1, 0)]
        ((used, success, failure, age, changed),) = sql(
            "SELECT last_used, last_success, last_failure,"
            f" extract(epoch FROM (now() AT TIME ZONE 'UTC') - last_used), updated_at > created_at FROM {table}"
        )
        assert abs((used - success).total_seconds()) < 1
        assert (failure, changed) == (None, True)
        assert abs(age) < 60


def test_a_failure_leaves_the_time_of_the_last_success(store, pair, sql):
    store.update_credential_status(*pair, True)
    before = sql("SELECT last_success FROM credentials")
    store.update_credential_status(*pair, False)
    assert counters(sql) == counters(sql, "credential_tags") == [(1, 1)]
    assert sql("SELECT last_success FROM credentials") == before
    assert sql("SELECT last_failure > last_success FROM credentials") == [(True,)]


def test_without_a_tag_the_credential_alone_is_counted(store, pair, sql):
    assert store.update_credential_status(pair[0]) is True
    assert (counters(sql), counters(sql, "credential_tags")) == ([(1, 0)], [(0, 0)])


def test_under_a_tag_where_it_is_not_the_credential_alone_is_counted(store, pair, sql):
    store.add_tag("Switches", tag_id="switches")
    assert store.update_credential_status(pair[0], "switches", True) is True
    assert (counters(sql), counters(sql, "credential_tags")) == ([(1, 0)], [(0, 0)])


def test_an_unknown_credential_is_told_and_not_counted(store, pair, sql):
    assert store.update_credential_status("nowhere", pair[1], True) is False
    assert counters(sql) == [(0, 0)]


def test_null_counters_begin_at_0_and_full_ones_stay(store, pair, sql):
    """NULL counters made the application's store fail without a word."""
    sql("UPDATE credentials SET success_count = NULL, failure_count = 2147483647")
    store.update_credential_status(pair[0], None, True)
    store.update_credential_status(pair[0], None, False)
    assert counters(sql) == [(1, 2147483647)]


def test_of_a_pair_that_stands_there_twice_the_selected_row_is_counted(store, pair, sql):
    sql("INSERT INTO credential_tags (id, credential_id, tag_id, priority) VALUES ('z', %s, %s, 7)", *pair)
    store.update_credential_status(*pair, True)
    assert store.get_credentials_by_tag(pair[1])[0].tag_success_count == 1
    assert sql("SELECT id, success_count FROM credential_tags WHERE success_count > 0") == [("z", 1)]
    assert store.get_smart_credentials_for_tag(pair[1])[0].attempts == 1


def test_no_increment_of_many_threads_is_lost(store, pair, sql):
    def use():
        for number in range(25):
            store.update_credential_status(*pair, number % 5 > 0)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counters(sql) == counters(sql, "credential_tags") == [(8 * 20, 8 * 5)]
    found = store.get_credential(pair[0])
    assert found.last_used == max(found.last_success, found.last_failure) or found.last_used > found.created_at


def test_on_a_connection_that_forgets_what_was_prepared_each_login_is_counted_once(make_store, store, pair, sql):
    """So a pooler looks that gives each transaction another server: a name may be unknown there, or taken."""
    store = make_store(settings=replace(QUICK, pool_size=1, max_overflow=0))

    def on_its_connection(statement):
        store._transactions.write("between", lambda session: session.execute(sa.text(statement)))

    def names():
        asked = sa.text("SELECT name FROM pg_prepared_statements")
        return store._transactions.read("asking", lambda session: session.scalars(asked).all())

    for expected in (1, 2):
        store.update_credential_status(*pair, True)
        assert counters(sql) == counters(sql, "credential_tags") == [(expected, 0)]
    ((name),) = names()
    on_its_connection("DEALLOCATE ALL")
    for expected in (3, 4):
        store.update_credential_status(*pair, True)
        assert counters(sql) == counters(sql, "credential_tags") == [(expected, 0)]
    assert names() == []
    store.close()
    on_its_connection(f"PREPARE {name} AS SELECT 1")
    store.update_credential_status(*pair, True)
    assert counters(sql) == counters(sql, "credential_tags") == [(5, 0)]


def test_logins_are_counted_in_the_schema_that_the_store_is_in(make_store, store, pair, sql):
    sql("DROP SCHEMA IF EXISTS elsewhere CASCADE; CREATE SCHEMA elsewhere")
    other = make_store(schema="elsewhere")
    other.initialize()
    other.add_tag("Routers", tag_id="routers")
    there = other.add_credential("Core", "admin", "x", tags=["routers"]), "routers"
    for _ in range(2):
        other.update_credential_status(*there, True)
        store.update_credential_status(*pair, False)
    assert counters(sql, "elsewhere.credential_tags") == counters(sql, "elsewhere.credentials") == [(2, 0)]
    assert counters(sql, "credential_tags") == counters(sql) == [(0, 2)]
    sql("DROP SCHEMA elsewhere CASCADE")


USER = """
import sys
from credstore_pipeline.store import CredentialStore
url, credential_id, tag_id = sys.stdin.read().split("\\n")
store = CredentialStore(url, "any key")
for _ in range(40):
    assert store.update_credential_status(credential_id, tag_id, True)
"""


def test_no_increment_of_several_processes_is_lost(store, pair, sql, database):
    told = "\n".join([database.url.render_as_string(hide_password=False), *pair])
    processes = [subprocess.Popen([sys.executable, "-c", USER], stdin=subprocess.PIPE, text=True) for _ in range(3)]
    for process in processes:
        process.stdin.write(told)
        process.stdin.close()
    for _ in range(40):
        store.update_credential_status(*pair, True)
    assert [process.wait(300) for process in processes] == [0, 0, 0]
    assert counters(sql) == counters(sql, "credential_tags") == [(160, 0)]


def test_counting_goes_on_while_priorities_are_optimized_and_set(store, pair, sql):
    def each(times, work):
        return threading.Thread(target=lambda: [work() for _ in range(times)])

    threads = [
        each(30, lambda: store.update_credential_status(*pair, True)),
        each(30, lambda: store.update_credential_status(*pair, True)),
        each(15, lambda: store.optimize_credential_priorities(pair[1])),
        each(15, lambda: store.associate(*pair, 5)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counters(sql, "credential_tags") == [(60, 0)]
