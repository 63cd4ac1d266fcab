import logging

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from credstore_pipeline.core.errors import TargetError
from credstore_pipeline.core.target.connect import make_engine, transaction
from credstore_pipeline.core.target.sync import (
    newest_version,
    require_readable_sync,
    sync_exists,
    sync_version,
    upgrade_sync_schema,
)
from credstore_pipeline.core.target.sync_models import SCHEMA, data_key, metadata, quarantine, row_state, runs


def upgraded(engine):
    with transaction(engine, "a test") as connection:
        upgrade_sync_schema(connection)


def test_an_empty_database_has_no_sync_schema(connection):
    assert not sync_exists(connection)
    assert sync_version(connection) is None
    assert require_readable_sync(connection) is False


def test_the_schema_comes_and_goes_with_the_callers_transaction(engine):
    with engine.connect() as connection:
        upgrade_sync_schema(connection)
        assert sync_exists(connection)
        connection.rollback()
        assert not sync_exists(connection)
        assert not sa.inspect(connection).has_schema(SCHEMA)


def test_the_schema_is_what_its_models_say(engine):
    upgraded(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
                "version_table_schema": SCHEMA,
                "compare_type": True,
                "compare_server_default": True,
            },
        )
        assert compare_metadata(context, metadata) == []


def test_upgrading_again_writes_nothing(engine):
    upgraded(engine)
    with engine.connect() as connection:
        connection.execute(sa.text("SET TRANSACTION READ ONLY"))
        upgrade_sync_schema(connection)
        assert require_readable_sync(connection) is True


def test_the_applications_alembic_version_is_left_alone(engine, execute):
    execute(
        "CREATE TABLE {schema}.alembic_version (version_num varchar(32));"
        "INSERT INTO {schema}.alembic_version VALUES ('app')"
    )
    upgraded(engine)
    with engine.connect() as connection:
        tables = sa.inspect(connection).get_table_names("public")
        assert tables == ["alembic_version"]
        assert connection.execute(sa.text("SELECT version_num FROM public.alembic_version")).scalars().all() == ["app"]
        assert sync_version(connection) == newest_version()


def test_a_schema_of_a_newer_pipeline_is_refused(engine, execute):
    upgraded(engine)
    execute("UPDATE credstore_sync.alembic_version SET version_num = '9001'")
    for use in (upgrade_sync_schema, require_readable_sync):
        with engine.connect() as connection, pytest.raises(TargetError, match=r"version 9001; this one knows up to 0"):
            use(connection)


def test_nobody_else_sees_into_the_schema(engine, execute, login):
    """Not even where new schemas are open to all by default."""
    execute("ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO PUBLIC")
    upgraded(engine)
    with make_engine(login(), "run").connect() as connection:
        allowed = sa.func.has_schema_privilege(SCHEMA, "USAGE")
        assert connection.execute(sa.select(allowed)).scalar() is False
        with pytest.raises(sa.exc.ProgrammingError, match="permission denied for schema"):
            connection.execute(sa.select(data_key.c.wrapped))


def test_a_schema_made_by_an_administrator_is_filled(engine, execute, login):
    """The role that loads need not have the right to make schemas."""
    role = login()
    execute(f"CREATE SCHEMA credstore_sync AUTHORIZATION {role.url.username}")
    upgraded(make_engine(role, "run"))
    with make_engine(role, "run").connect() as connection:
        assert sync_exists(connection)


def test_upgrading_says_nothing(engine, capsys, caplog):
    caplog.set_level(logging.WARNING)
    handlers = list(logging.getLogger().handlers)
    upgraded(engine)
    assert capsys.readouterr() == ("", "")
    assert caplog.records == []
    assert logging.getLogger().handlers == handlers


def test_there_is_one_data_key_at_most(engine):
    upgraded(engine)
    key = {"wrapped": b"sealed", "created_at": sa.func.now(), "created_by_run": "run"}
    with engine.begin() as connection:
        connection.execute(data_key.insert().values(id=1, **key))
    for number, state in ((1, "23505"), (2, "23514")):
        with pytest.raises(TargetError, match=state), transaction(engine, "a test") as connection:
            connection.execute(data_key.insert().values(id=number, **key))


def test_a_row_is_open_in_quarantine_once_and_again_when_it_was_resolved(engine):
    upgraded(engine)
    row = {
        "source_table": "credentials",
        "source_rowid": 7,
        "reason": "undecryptable_secret",
        "sealed_row": "sealed",
        "content_fp": b"12345678",
        "first_run": "run",
        "seen_at": sa.func.now(),
    }
    with engine.begin() as connection:
        connection.execute(quarantine.insert().values(row))
        connection.execute(quarantine.insert().values(row | {"content_fp": b"other"}))
    with pytest.raises(TargetError, match="quarantine_open_row"), transaction(engine, "a test") as connection:
        connection.execute(quarantine.insert().values(row))
    with engine.begin() as connection:
        connection.execute(quarantine.update().values(resolved_at=sa.func.now()))
        connection.execute(quarantine.insert().values(row))


def test_counts_and_adoption_have_defaults(engine):
    upgraded(engine)
    with engine.begin() as connection:
        connection.execute(runs.insert().values(run_id="run", kind="initial", pipeline_version="1"))
        connection.execute(row_state.insert().values(source_table="tags", row_id="1", source_fp=b"1"))
        assert connection.execute(sa.select(runs.c.counts)).scalar() == {}
        assert connection.execute(sa.select(row_state.c.adopted)).scalar() is False
