import io
import socket
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
import pyarrow as pa
import pytest
import sqlalchemy as sa

from credstore_pipeline.core.deployment import Target
from credstore_pipeline.core.errors import CommitUnknown, TargetError, TargetUnreachable, TransientTargetError
from credstore_pipeline.core.target.bulk import copy_in
from credstore_pipeline.core.target.connect import make_engine, settle, transaction
from credstore_pipeline.core.target.failures import boundary

CANARY = "canary-4d1f0a77-never-show-me"


@contextmanager
def refused(kind: type[TargetError], sqlstate: str | None, *words: str) -> Iterator[None]:
    """Expect exactly this error class, these words, and no value anywhere in its traceback."""
    with pytest.raises(kind) as caught:
        yield
    assert type(caught.value) is kind
    assert caught.value.sqlstate == sqlstate
    for word in words:
        assert word in str(caught.value)
    shown = "".join(traceback.format_exception(caught.value))
    assert CANARY not in shown
    assert "psycopg2.errors" not in shown and "psycopg2.OperationalError" not in shown


def run(target: Target, *statements: str, **values: object) -> None:
    with transaction(make_engine(target, "run"), "a test") as connection:
        for statement in statements:
            connection.execute(sa.text(statement), values)


TABLE = "CREATE TABLE public.t (id varchar(36) PRIMARY KEY, name varchar(10) NOT NULL, n integer CHECK (n > 0))"


def test_unique_violation_names_table_and_constraint_and_no_value(database):
    run(database, TABLE)
    insert = "INSERT INTO public.t VALUES (:id, 'x')"
    run(database, insert, id=CANARY)
    with refused(TargetError, "23505", "a test: ", "unique_violation", "table t", "constraint t_pkey"):
        run(database, insert, id=CANARY)


def test_not_null_violation_names_the_column(database):
    run(database, TABLE)
    with refused(TargetError, "23502", "column name"):
        run(database, "INSERT INTO public.t (id) VALUES (:id)", id=CANARY)


def test_too_long_text_is_not_quoted(database):
    run(database, TABLE)
    with refused(TargetError, "22001", "string_data_right_truncation"):
        run(database, "INSERT INTO public.t VALUES ('1', :name)", name=CANARY)


def test_unreadable_number_is_not_quoted(database):
    with refused(TargetError, "22P02"):
        run(database, f"SELECT '{CANARY}'::integer")


def test_failed_copy_names_line_and_column_and_no_value(database):
    run(database, TABLE)
    with (
        refused(TargetError, "22001", "COPY into t, line 2, column name"),
        transaction(make_engine(database, "run"), "a test") as connection,
    ):
        copy_in(connection, pa.table({"id": ["1", CANARY], "name": ["short", CANARY]}), "public.t")


def test_text_that_cannot_be_encoded_is_not_quoted(database):
    with refused(TargetError, None, "surrogate"):
        run(database, "SELECT CAST(:value AS text)", value=CANARY + "\ud800")


def test_nul_in_a_text_is_not_quoted(database):
    """The driver's own refusal: no error of PostgreSQL, and a fault of ours if it ever comes."""
    with pytest.raises(ValueError, match="NUL") as caught:
        run(database, "SELECT CAST(:value AS text)", value=CANARY + "\0")
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_missing_right_says_what_to_do(database, login):
    run(database, TABLE)
    with refused(TargetError, "42501", "insufficient_privilege", "Grant the right"):
        run(login(), "SELECT * FROM public.t")


def test_wrong_password_is_unreachable_and_not_retried(database):
    with refused(TargetUnreachable, "28P01", "wrong password"):
        run(Target(database.url.set(password=CANARY)), "SELECT 1")


def test_missing_database_is_named_as_such(database):
    with refused(TargetUnreachable, "3D000", "does not exist"):
        run(Target(database.url.set(database="nowhere")), "SELECT 1")


def test_missing_socket_is_unreachable(database):
    with refused(TargetUnreachable, None, "no such socket"):
        run(Target(database.url.set(query={"host": "/nonexistent"})), "SELECT 1")


def test_closed_port_is_unreachable(database):
    with refused(TargetUnreachable, None, "nothing listens"):
        run(Target(database.url.set(host="127.0.0.1", port=1, query={})), "SELECT 1")


def test_unknown_host_is_unreachable(database):
    with refused(TargetUnreachable, None, "host"):
        run(Target(database.url.set(host="nowhere.invalid", query={})), "SELECT 1")


def test_no_connection_left_may_be_tried_again(database, login):
    role = login("CONNECTION LIMIT 0")
    with refused(TransientTargetError, "53300", "no connection left"):
        run(role, "SELECT 1")


def test_ended_connection_may_be_tried_again(database):
    # The driver reads the server's last words only sometimes before it sees the closed line.
    with (
        pytest.raises(TransientTargetError, match="connection"),
        transaction(make_engine(database, "run"), "a test") as connection,
    ):
        pid = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
        run(database, "SELECT pg_terminate_backend(:pid, 1000)", pid=pid)
        connection.execute(sa.text("SELECT 1"))


def test_connection_lost_under_way_may_be_tried_again(database):
    with (
        refused(TransientTargetError, None, "connection was lost"),
        transaction(make_engine(database, "run"), "a test") as connection,
    ):
        driver = connection.connection.driver_connection
        shut_down(driver.fileno())
        connection.execute(sa.text("SELECT 1"))


def test_connection_lost_in_copy_may_be_tried_again(database):
    run(database, "CREATE TABLE public.many (n bigint)")
    with (
        refused(TransientTargetError, None, "connection was lost"),
        transaction(make_engine(database, "run"), "a test") as connection,
    ):
        shut_down(connection.connection.driver_connection.fileno())
        with connection.connection.cursor() as cursor:
            cursor.copy_expert("COPY public.many FROM STDIN", io.StringIO("1\n"))


def shut_down(descriptor: int) -> None:
    with socket.socket(fileno=descriptor) as line:
        line.shutdown(socket.SHUT_RDWR)
        line.detach()


def test_connection_lost_during_commit_leaves_the_outcome_open(database):
    with (
        refused(CommitUnknown, None, "lost during COMMIT", "unknown", "credstore_sync.runs"),
        transaction(make_engine(database, "run"), "a test") as connection,
    ):
        shut_down(connection.connection.driver_connection.fileno())


def test_a_commit_that_was_answered_with_no_is_no_open_outcome(database):
    run(
        database,
        "CREATE TABLE public.a (id integer PRIMARY KEY)",
        "CREATE TABLE public.b (id integer REFERENCES public.a DEFERRABLE INITIALLY DEFERRED)",
    )
    with refused(TargetError, "23503", "constraint b_id_fkey", "The target is unchanged."):
        run(database, "INSERT INTO public.b VALUES (1)")


def test_lock_timeout_may_be_tried_again(database):
    run(database, TABLE)
    engine = make_engine(database, "run")
    with engine.begin() as holder:
        holder.execute(sa.text("LOCK TABLE public.t"))
        with refused(TransientTargetError, "55P03", "lock"), boundary("a test"), engine.begin() as connection:
            settle(connection, lock_max_s=0.05)
            connection.execute(sa.text("SELECT * FROM public.t"))


def test_deadlock_may_be_tried_again(database):
    run(database, "CREATE TABLE public.a (n integer)", "CREATE TABLE public.b (n integer)")
    engine = make_engine(database, "run")
    meeting = threading.Barrier(2, timeout=60)
    failures = []

    def lock(first: str, second: str) -> None:
        try:
            with transaction(engine, "a test") as connection:
                connection.execute(sa.text("SET LOCAL deadlock_timeout = '20ms'"))
                connection.execute(sa.text(f"LOCK TABLE public.{first}"))
                meeting.wait()
                connection.execute(sa.text(f"LOCK TABLE public.{second}"))
        except TargetError as failure:
            failures.append(failure)

    threads = [threading.Thread(target=lock, args=tables) for tables in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(type(failure), failure.sqlstate) for failure in failures] == [(TransientTargetError, "40P01")]


def test_serialization_failure_may_be_tried_again(database):
    run(database, "CREATE TABLE public.a (n integer)", "INSERT INTO public.a VALUES (1)")
    engine = make_engine(database, "run").execution_options(isolation_level="REPEATABLE READ")
    with refused(TransientTargetError, "40001"), boundary("a test"), engine.begin() as connection:
        connection.execute(sa.text("SELECT * FROM public.a"))
        run(database, "UPDATE public.a SET n = 2")
        connection.execute(sa.text("UPDATE public.a SET n = 3"))


def test_cancelled_statement_is_not_tried_again(database):
    with refused(TargetError, "57014", "cancelled"), boundary("a test"), make_engine(database, "run").begin() as each:
        each.execute(sa.text("SET LOCAL statement_timeout = '20ms'"))
        each.execute(sa.text("SELECT pg_sleep(5)"))


def test_read_only_database_is_named_as_such(database):
    with refused(TargetError, "25006", "read-only"):
        run(database, "SET TRANSACTION READ ONLY", "CREATE TABLE public.x (n integer)")


def test_sqlstate_nobody_knows_is_shown_as_it_is(database):
    with refused(TargetError, "ZZ123", "SQLSTATE ZZ123"):
        run(database, f"DO $$ BEGIN RAISE EXCEPTION '{CANARY}' USING ERRCODE = 'ZZ123'; END $$")


def test_raised_words_never_come_through_as_names(database):
    """A trigger of somebody else's may name anything as its message; only catalog names are shown."""
    with refused(TargetError, "P0001", "raise_exception"):
        run(database, f"DO $$ BEGIN RAISE EXCEPTION '{CANARY}' USING DETAIL = '{CANARY}'; END $$")


def test_our_own_errors_pass_unchanged():
    mine = TargetError("here", "something")
    with pytest.raises(TargetError) as caught, boundary("a test"):
        raise mine
    assert caught.value is mine


def test_raw_driver_errors_are_translated_too(database):
    connection = psycopg2.connect(database.url.set(drivername="postgresql").render_as_string(hide_password=False))
    with refused(TargetError, "22P02"), boundary("a test"), connection.cursor() as cursor:
        cursor.execute("SELECT %s::integer", (CANARY,))
    connection.close()
