"""The program as it is, against real servers that come late, refuse, go away and come back."""

import os
import subprocess
import sys
import time
from functools import partial

import pytest
import sqlalchemy as sa

from credstore_pipeline.core.seeding.plan import Seeding
from credstore_pipeline.core.seeding.seed import prepare_tables
from credstore_pipeline.core.target.connect import make_engine, transaction
from credstore_pipeline.core.target.lock import take_lock
from credstore_pipeline_tests.pipeline.flow import opened
from credstore_pipeline_tests.waiting import await_true, waiting_for_locks

KEY = "a made-up target key"
PASSWORD = "canary-2d9e-init"


def url(target, **parts):
    return target.url.set(**parts).render_as_string(hide_password=False)


def rows(target_url, statement):
    engine = sa.create_engine(target_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(statement)]


def lines(text):
    return text.strip().splitlines()


def test_an_empty_database_gets_tables_tags_and_credentials_and_a_second_run_changes_nothing(init, database, tmp_path):
    secret = tmp_path / "password"
    secret.write_text(f"{PASSWORD}\n")
    settings = {
        "CREDSTORE_POSTGRES_URL": url(database),
        "NETRAVEN_ENCRYPTION_KEY": KEY,
        "CREDSTORE_SEED_ADMIN_PASSWORD_FILE": str(secret),
    }
    code, out, err = init(**settings).end()
    assert (code, err) == (0, "")
    assert lines(out)[0] == "credstore-init: tables: made credential_tags, credentials, tags"
    assert "4 tags made" in lines(out)[1]
    assert "1 credentials made, on 4 tags" in lines(out)[2]
    assert lines(out)[-1] == "credstore-init: done"
    assert PASSWORD not in out and KEY not in out
    ((stored,),) = rows(database.url, "SELECT password FROM credentials")
    assert opened(stored) == PASSWORD
    state = "SELECT 'x', xmin::text, t::text FROM tags t UNION SELECT 'c', xmin::text, c::text FROM credentials c"
    before = sorted(rows(database.url, state))
    code, out, _ = init(**settings).end()
    assert code == 0
    assert lines(out)[0] == "credstore-init: tables: all there"
    assert "Skipped: the store has 1 credentials already." in out
    assert sorted(rows(database.url, state)) == before


def test_indexes_are_built_where_that_is_asked(init_here, database):
    for told in ("built credstore_credential_tags_by_tag, credstore_credential_tags_by_credential", "all there"):
        code, out, _ = init_here("--indexes", CREDSTORE_POSTGRES_URL=url(database), CREDSTORE_SEED="false")
        assert code == 0
        assert f"credstore-init: indexes: {told}" in out


def test_only_tables_if_seeds_are_switched_off(init_here, database):
    code, out, _ = init_here(CREDSTORE_POSTGRES_URL=url(database), CREDSTORE_SEED="false")
    assert code == 0
    assert "seeds: not asked for" in out
    assert rows(database.url, "SELECT count(*) FROM tags") == [(0,)]


def test_wrong_settings_are_one_line_with_all_of_them_and_exit_code_2(init_here):
    code, out, err = init_here(CREDSTORE_SEED_ADMIN_PASSWORD="admin_password")
    assert (code, out) == (2, "")
    assert len(lines(err)) == 1
    assert "CREDSTORE_POSTGRES_URL: not set" in err
    code, _, err = init_here(POSTGRES_HOST="db", CREDSTORE_SEED_ADMIN_PASSWORD="admin_password")
    assert code == 2
    assert "CREDSTORE_SEED_ADMIN_PASSWORD: it is one of the application's published" in err
    assert "CREDSTORE_TARGET_KEY: not set" in err


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"password": "wrong"}, "wrong password or unknown user"),
        ({"database": "not_there"}, "the database or user does not exist"),
    ],
)
def test_a_wrong_password_and_a_missing_database_are_one_clear_line_at_once(init_here, database, parts, told):
    code, out, err = init_here(CREDSTORE_POSTGRES_URL=url(database, **parts))
    assert (code, out) == (1, "")
    assert len(lines(err)) == 1
    assert told in err


def test_a_server_that_never_comes_is_given_up_with_what_was_waited_for(init_here):
    settings = {"POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": "1", "CREDSTORE_INIT_MAX_S": "4"}
    code, out, err = init_here(**settings)
    assert code == 1
    assert "waiting for PostgreSQL at 127.0.0.1:1/netraven.public: nothing listens there; next try in" in out
    assert len(lines(err)) == 1
    assert "gave up after" in err


@pytest.mark.ci
@pytest.mark.parametrize("late_s", [1, 10])
def test_a_server_that_starts_late_is_waited_for(init, own_server, late_s):
    server, stop = own_server()
    place = server.url("late").render_as_string(hide_password=False)
    stop()
    program = init(CREDSTORE_POSTGRES_URL=place)
    program.said("waiting for PostgreSQL")
    time.sleep(late_s)
    server, _ = own_server()
    code, _, err = program.end()
    assert (code, err) == (0, "")
    assert rows(server.url("late"), "SELECT count(*) FROM tags") == [(4,)]


@pytest.mark.ci
def test_a_server_that_restarts_in_the_middle_is_waited_for_again(init, own_server):
    server, stop = own_server()
    place = server.url("middle")
    target = Seeding(target_of(place))
    prepare_tables(target, "before")
    blocker = make_engine(target.target, "blocker").connect()
    blocker.exec_driver_sql("LOCK TABLE tags")
    program = init(CREDSTORE_POSTGRES_URL=place.render_as_string(hide_password=False))
    program.said("tables: all there")
    wait_for_waiter(place)
    stop()
    blocker.invalidate()
    server, _ = own_server()
    code, out, err = program.end()
    assert (code, err) == (0, ""), out
    assert rows(place, "SELECT count(*) FROM tags") == [(4,)]


def target_of(place):
    from credstore_pipeline.core.deployment import Target

    return Target(place)


def wait_for_waiter(place):
    await_true(lambda: waiting_for_locks(partial(rows, place)), said=lambda: "the program does not wait for the table")


def test_a_load_that_is_running_is_waited_for(init, database):
    with transaction(make_engine(database, "the load"), "a test") as connection:
        take_lock(connection, database.schema, 0)
        program = init(CREDSTORE_POSTGRES_URL=url(database), CREDSTORE_LOCK_WAIT_S="0")
        assert "another load has been running: run the load" in program.said("waiting for PostgreSQL")
    code, _, _ = program.end()
    assert code == 0


@pytest.mark.ci
def test_two_at_once_do_it_once(init, database):
    both = [init(CREDSTORE_POSTGRES_URL=url(database)) for _ in range(2)]
    ends = [one.end() for one in both]
    assert [code for code, _, _ in ends] == [0, 0], ends
    assert sorted("4 tags made" in out for _, out, _ in ends) == [False, True]
    assert rows(database.url, "SELECT count(*) FROM tags") == [(4,)]


def test_it_imports_no_dagster():
    asked = (
        "import sys, credstore_pipeline.init.__main__ as m; print(any(n.startswith('dagster') for n in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stdout.strip() == "False"
