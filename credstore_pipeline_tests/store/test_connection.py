import subprocess
import sys
import threading
import traceback
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from credstore_pipeline.core.errors import SettingsError, TargetError, TargetUnreachable, TransientTargetError
from credstore_pipeline.settings import DEFAULT_POSTGRES
from credstore_pipeline.store import CredentialStore, PoolFull, StatementTimeout, StoreSettings, TablesMissing
from credstore_pipeline.store.connecting import DEFAULTS, store_url
from credstore_pipeline_tests.store.conftest import connect
from credstore_pipeline_tests.waiting import await_true, waiting_for_locks

CANARY = "canary-9c41-password"


class Sleeps(list):
    """Records pauses instead of making them."""

    def __call__(self, seconds):
        self.append(seconds)


@contextmanager
def refused(kind, sqlstate, *words):
    with pytest.raises(kind) as caught:
        yield
    assert type(caught.value) is kind
    assert getattr(caught.value, "sqlstate", None) == sqlstate
    shown = "".join(traceback.format_exception(caught.value))
    assert CANARY not in shown
    assert "psycopg2." not in shown and "sqlalchemy.exc" not in shown
    for word in (*words, "Nothing was changed."):
        assert word in str(caught.value)


@contextmanager
def locked(sql_url, table):
    """Hold a table so that nobody else can read it."""
    engine = sa.create_engine(sql_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        yield


def test_a_wrong_password_is_said_at_once(make_store, database):
    sleeps = Sleeps()
    with refused(TargetUnreachable, "28P01", "wrong password", "POSTGRES_PASSWORD"):
        make_store(url=database.url.set(password=CANARY), sleep=sleeps).list_tags()
    assert sleeps == []


def test_a_missing_database_is_said_at_once(make_store, database):
    sleeps = Sleeps()
    with refused(TargetUnreachable, "3D000", "does not exist", "POSTGRES_DB"):
        make_store(url=database.url.set(database="nowhere"), sleep=sleeps).initialize()
    assert sleeps == []


def test_missing_tables_are_said_with_what_makes_them(own, make_store):
    store = make_store()
    for work in (
        store.list_credentials,
        store.list_tags,
        lambda: store.get_credentials_by_tag("x"),
        store.get_credential_stats,
    ):
        with refused(TablesMissing, "42P01", "initialize()"):
            work()
    with refused(TablesMissing, "42P01"):
        store.add_credential("Core", "admin", CANARY)
    store.initialize()
    assert store.list_credentials() == []


def test_a_missing_schema_is_missing_tables(own, make_store):
    with refused(TablesMissing, "42P01", "initialize()"):
        make_store(schema="nowhere").list_tags()


def test_a_missing_right_is_named(make_store, store, login):
    role = login()
    with refused(TargetError, "42501", "a right is missing"):
        make_store(url=role.url).list_tags()


def test_a_full_pool_is_said_after_its_time(make_store, store, database):
    small = make_store(settings=StoreSettings(pool_size=1, max_overflow=0, pool_timeout_s=0.2))
    with locked(database.url, "tags"):
        waiting = threading.Thread(target=small.list_tags)
        waiting.start()
        while not small._transactions.engine.pool.checkedout():
            pass
        with refused(PoolFull, None, "every connection of the pool is in use", "pool_size"):
            small.list_credentials()
    waiting.join()
    assert small.list_credentials() == []


def test_a_statement_that_takes_too_long_is_ended(make_store, store, database, sql):
    sleeps = Sleeps()
    hasty = make_store(settings=StoreSettings(statement_timeout_s=0.5), sleep=sleeps)
    with locked(database.url, "credentials"):
        with refused(StatementTimeout, "57014", "statement_timeout_s"):
            hasty.list_credentials()
        with refused(StatementTimeout, "57014"):
            hasty.add_credential("Core", "admin", CANARY)
    assert sleeps == []
    assert sql("SELECT count(*) FROM credentials") == [(0,)]


def test_a_server_without_a_connection_left_is_tried_again(make_store, store, login):
    sleeps = Sleeps()
    role = login("CONNECTION LIMIT 0")
    with refused(TransientTargetError, "53300", "no connection left", "max_connections"):
        make_store(url=role.url, settings=StoreSettings(attempts=3), sleep=sleeps).list_tags()
    assert len(sleeps) == 2


def test_pauses_grow_up_to_a_limit_and_attempts_end(make_store, database):
    sleeps = Sleeps()
    settings = StoreSettings(attempts=6, first_wait_s=0.1, longest_wait_s=0.5, jitter_s=0.05)
    with refused(TargetUnreachable, None, "nothing listens", "POSTGRES_HOST"):
        make_store(
            url=database.url.set(host="127.0.0.1", port=1, query={}), settings=settings, sleep=sleeps
        ).list_tags()
    assert [low <= pause <= low + 0.05 for low, pause in zip((0.1, 0.2, 0.4, 0.5, 0.5), sleeps, strict=True)] == [
        True
    ] * 5


def test_attempts_end_with_their_time(make_store, database):
    settings = StoreSettings(attempts=1000, retry_max_s=0.5, first_wait_s=0.05, longest_wait_s=0.1, jitter_s=0.01)
    url = database.url.set(query={"host": "/nonexistent"})
    with refused(TargetUnreachable, None, "no such socket"):
        make_store(url=url, settings=settings).list_tags()


def test_attempts_are_logged_without_secrets(make_store, database, caplog):
    url = database.url.set(host="127.0.0.1", port=1, query={}, password=CANARY)
    with pytest.raises(TargetUnreachable):
        make_store(url=url, settings=StoreSettings(attempts=2), sleep=Sleeps()).list_tags()
    assert "listing tags; attempt 1 failed, trying again: nothing listens there." in caplog.text
    assert CANARY not in caplog.text


def test_a_deadlock_is_tried_again(own, store, sql, database):
    for name in "ab":
        store.add_tag(name, tag_id=name)
    one = store.add_credential("Core", "admin", tags=["a", "b"])
    other = connect(database.url)
    sql(f"ALTER DATABASE {database.url.database} SET deadlock_timeout = '2s'")
    store.close()
    with other.cursor() as cursor:
        cursor.execute("SET deadlock_timeout = '1min'")
        cursor.execute("SELECT 1 FROM tags WHERE id = 'b' FOR UPDATE")
        done = threading.Thread(target=store.associate, args=(one, "b", 5))
        done.start()
        await_true(lambda: waiting_for_locks(sql))
        cursor.execute("UPDATE credentials SET name = 'x' WHERE id = %s", (one,))
    other.commit()
    other.close()
    done.join()
    assert [link.priority for link in store.list_associations(tag_id="b")] == [5.0]


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///x.db",
        "sqlite://",
        "mysql://h/d",
        "postgresql://host",
        "no url",
        "postgresql+asyncpg://h/d",
        "postgresql://h:port/d",
    ],
)
def test_anything_but_a_postgresql_url_is_refused(url):
    with pytest.raises(SettingsError, match=r"PostgreSQL database|no URL") as caught:
        store_url(url + CANARY if url == "no url" else url)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_every_usual_spelling_is_taken(scheme):
    url = store_url(f"{scheme}://u:p%40@h:1/d?sslmode=require")
    assert (url.drivername, url.password, url.port) == ("postgresql+psycopg2", "p@", 1)
    assert url.query == {"sslmode": "require"}


def test_the_applications_variables_count_without_a_url(tmp_path):
    (tmp_path / "password").write_text("in a file\n")
    environ = {"POSTGRES_HOST": "h", "POSTGRES_PORT": "1", "POSTGRES_PASSWORD_FILE": str(tmp_path / "password")}
    url = store_url(None, environ)
    assert (url.host, url.port, url.database, url.username, url.password) == (
        "h",
        1,
        "netraven",
        "netraven",
        "in a file",
    )
    assert store_url(None, {"POSTGRES_PASSWORD": "a@b/c"}).password == "a@b/c"
    with pytest.raises(SettingsError, match="POSTGRES_PORT"):
        store_url(None, {"POSTGRES_PORT": "http"})


def test_defaults_are_those_of_the_pipeline():
    assert {name.lower(): value for name, value in DEFAULTS.items()} == {
        name: str(value) for name, value in DEFAULT_POSTGRES.items()
    }


def test_options_of_the_url_are_kept(database, sql):
    url = database.url.update_query_dict({"options": "-c work_mem=7MB"})
    engine = CredentialStore(url, "k")._transactions.engine
    with engine.connect() as connection:
        asked = "SELECT current_setting('work_mem'), current_setting('statement_timeout')"
        assert connection.execute(sa.text(asked)).one() == ("7MB", "30s")
    engine.dispose()


FORKED = """
import os, sys
from credstore_pipeline.store import CredentialStore
store = CredentialStore(sys.stdin.read(), "any key")
store.list_tags()
child = os.fork()
for _ in range(50):
    assert store.list_tags() == []
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_does_not_speak_on_its_parents_connections(store, database):
    url = database.url.render_as_string(hide_password=False)
    done = subprocess.run([sys.executable, "-c", FORKED], input=url, text=True, capture_output=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_write_sees_what_others_commit_whatever_was_read_before_on_its_connection(make_store, store, database):
    """A snapshot's level would stay with the connection, and one that the server sets would fail under concurrency."""
    slow = database.url.update_query_dict({"options": "-c default_transaction_isolation=serializable"})
    one = make_store(url=slow, settings=StoreSettings(pool_size=1, max_overflow=0))
    ask = sa.text("SELECT current_setting('transaction_isolation'), now() = statement_timestamp()")
    for read in (one.list_tags, one.get_credential_stats, one.list_tags):
        read()
        levels = one._transactions.write("asking", lambda session: [session.execute(ask).one() for _ in range(2)])
        assert [level for level, _ in levels] == ["read committed"] * 2
        assert levels[1][1] is False, "each statement was a transaction of its own"
        assert one._transactions.read("asking", lambda session: session.execute(ask).one())[1] is True
