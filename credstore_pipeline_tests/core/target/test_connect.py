import datetime as dt

import pytest
import sqlalchemy as sa

from credstore_pipeline.core.deployment import Target
from credstore_pipeline.core.target.connect import make_engine, quoted, settle, target_now, transaction
from credstore_pipeline_tests.waiting import await_true


def show(connection, name):
    return connection.execute(sa.text(f"SHOW {name}")).scalar()


def test_connections_name_the_run_whole(database):
    run_id = "4f0c7a1e-1111-4111-8111-0123456789ab"
    with make_engine(database, run_id).connect() as connection:
        assert show(connection, "application_name") == f"credstore {run_id}"


def test_connections_are_closed_when_they_are_given_back(database, engine):
    with make_engine(database, "gone").connect() as connection:
        connection.execute(sa.text("SELECT 1"))
    left = sa.text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'credstore gone'"
    )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # The server notices in its own time.
        await_true(lambda: connection.execute(left).scalar() == 0, max_s=60)


@pytest.mark.parametrize("driver", ["postgresql", "postgresql+psycopg", "postgresql+psycopg2"])
def test_any_drivers_url_goes_through_psycopg2(database, driver):
    engine = make_engine(Target(database.url.set(drivername=driver)), "run")
    assert engine.driver == "psycopg2"


def test_parameters_are_hidden_in_errors_and_logs(database):
    with make_engine(database, "run").connect() as connection, pytest.raises(sa.exc.DBAPIError) as caught:
        connection.execute(sa.text("SELECT 1 / 0 WHERE :value <> ''"), {"value": "canary-4d1f0a77"})
    assert "canary-4d1f0a77" not in str(caught.value)


def test_a_transaction_does_not_depend_on_settings_of_the_database(database, engine):
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for setting in (
            "statement_timeout = '100s'",
            "idle_in_transaction_session_timeout = '100s'",
            "transaction_timeout = '100s'",
            "timezone = 'Asia/Kolkata'",
            "search_path = 'evil'",
        ):
            connection.execute(sa.text(f"ALTER DATABASE {database.url.database} SET {setting}"))
    with transaction(engine, "a test", "public", lock_max_s=2.5) as connection:
        names = ("statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout", "lock_timeout")
        found = [show(connection, name) for name in (*names, "timezone", "search_path")]
    assert found == ["0", "0", "0", "2500ms", "UTC", 'pg_catalog, "public", pg_temp']
    with engine.connect() as connection:
        assert show(connection, "statement_timeout") == "100s", "the next transaction has its own again"


def test_what_is_settled_ends_with_the_transaction(engine):
    with engine.connect() as connection:
        settle(connection, lock_max_s=1)
        connection.rollback()
        assert show(connection, "lock_timeout") == "0"


def test_functions_of_other_schemas_do_not_shadow_postgresqls(engine, execute):
    execute("CREATE FUNCTION {schema}.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT NULL::timestamptz'")
    with transaction(engine, "a test", "public") as connection:
        assert connection.execute(sa.text("SELECT now()")).scalar() is not None


def test_synchronous_commit_stays_as_the_server_has_it(engine):
    with engine.connect() as connection:
        before = show(connection, "synchronous_commit")
        settle(connection)
        assert show(connection, "synchronous_commit") == before


def test_a_block_that_raises_leaves_nothing_behind(engine):
    with pytest.raises(ZeroDivisionError), transaction(engine, "a test") as connection:
        connection.execute(sa.text("CREATE TABLE public.t (n integer)"))
        raise ZeroDivisionError
    with engine.connect() as connection:
        assert not sa.inspect(connection).has_table("t")


def test_the_targets_clock_moves_within_a_transaction(connection):
    first, second = target_now(connection), target_now(connection)
    assert first < second
    assert first.utcoffset() == dt.timedelta(0)


def test_names_are_quoted_whatever_they_are():
    assert quoted("public", "t") == '"public"."t"'
    assert quoted('a"b') == '"a""b"'
