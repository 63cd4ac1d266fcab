import os
import signal
import subprocess
import sys
import threading
import types

import pytest
import sqlalchemy as sa

from credstore_pipeline.core.errors import LoadLocked
from credstore_pipeline.core.target import lock
from credstore_pipeline.core.target.connect import make_engine, transaction
from credstore_pipeline.core.target.lock import POLL_S, lock_holders, lock_key, take_lock

RUN = "4f0c7a1e-1111-4111-8111-000000000001"


@pytest.fixture
def other(database):
    """Give the engine of another run."""
    return make_engine(database, RUN)


def is_free(engine, schema="public"):
    with engine.connect() as connection:
        return connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(lock_key(schema)))).scalar()


def test_a_second_run_waits_and_then_names_the_holder(connection, other, monkeypatch):
    clock, waits = [0.0], []
    monkeypatch.setattr(lock, "time", types.SimpleNamespace(monotonic=lambda: clock[0]))

    def sleep(seconds):
        waits.append(seconds)
        clock[0] += seconds

    with transaction(other, "the other") as holder:
        take_lock(holder, "public", 0)
        pid = holder.connection.driver_connection.info.backend_pid
        with pytest.raises(LoadLocked, match=rf"run {RUN} \(pid {pid}, in a transaction since \d{{4}}-\d\d-\d\d "):
            take_lock(connection, "public", 2 * POLL_S, sleep=sleep)
        assert waits == [POLL_S] * 2
        assert connection.execute(sa.text("SELECT 1")).scalar() == 1, "the waiting transaction is whole"


def test_the_lock_comes_free_when_the_holder_commits_or_rolls_back(engine, other):
    for end in ("commit", "rollback"):
        with other.connect() as holder:
            take_lock(holder, "public", 0)
            assert not is_free(engine)
            getattr(holder, end)()
            assert is_free(engine)


def test_a_run_that_waits_gets_the_lock_and_sees_what_was_committed(engine, other, execute):
    execute("CREATE TABLE {schema}.t (n integer)")
    holder = other.connect()
    take_lock(holder, "public", 0)
    holder.execute(sa.text("INSERT INTO public.t VALUES (1)"))
    with transaction(engine, "a test") as connection:
        timer = threading.Timer(0.1, holder.commit)
        timer.start()
        take_lock(connection, "public", 60)
        assert connection.execute(sa.text("SELECT count(*) FROM public.t")).scalar() == 1
        timer.join()
    holder.close()


def test_the_lock_comes_free_when_the_holder_is_killed(engine, database):
    program = f"""
import sqlalchemy as sa
from credstore_pipeline.core.target.lock import take_lock
connection = sa.create_engine({database.url.render_as_string(hide_password=False)!r}).connect()
take_lock(connection, "public", 0)
print("held", flush=True)
input()
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", program], **pipes) as holder:
        assert holder.stdout.readline() == b"held\n"
        assert not is_free(engine)
        os.kill(holder.pid, signal.SIGKILL)
    with transaction(engine, "a test") as connection:
        take_lock(connection, "public", 60)


def test_schemas_have_locks_of_their_own(connection, other):
    with transaction(other, "the other") as holder:
        take_lock(holder, "elsewhere", 0)
        take_lock(connection, "public", 0)
        assert f"run {RUN} " in lock_holders(connection, "elsewhere")


def test_lock_keys_never_change():
    """Two versions of the pipeline have to keep each other out."""
    assert lock_key("public") == 7204242456818104171
    assert -(2**63) <= lock_key('"odd" schema') < 2**63
    assert lock_key('"odd" schema') != lock_key("public")


def test_programs_with_names_of_their_own_are_not_quoted(engine, connection):
    with engine.connect() as holder:
        holder.execute(sa.text("SET application_name = 'canary-4d1f0a77'"))
        take_lock(holder, "public", 0)
        assert lock_holders(connection, "public").startswith("another program (pid ")


def test_nobody_holds_a_free_lock(connection):
    assert lock_holders(connection, "public") == ""


def test_another_roles_run_is_named_too(connection, login):
    """The start of another role's transaction is hidden from us; its run is not."""
    with make_engine(login(), RUN).connect() as holder:
        take_lock(holder, "public", 0)
        role = login()
        with make_engine(role, "mine").connect() as without_rights:
            assert f"run {RUN} (pid" in lock_holders(without_rights, "public")
            assert "an unknown time" in lock_holders(without_rights, "public")
