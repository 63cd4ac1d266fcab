import pytest
import sqlalchemy as sa

from credstore_pipeline.core.target.connect import make_engine, transaction
from credstore_pipeline.core.target.rights import describe, missing_rights
from credstore_pipeline.core.target.shape import read_shape
from credstore_pipeline.core.target.sync import upgrade_sync_schema
from credstore_pipeline.core.target.tables import create_missing
from credstore_pipeline_tests.core.target.ddl import F7B7109_STORE, W5FF43A7


@pytest.fixture
def role(login):
    return login()


@pytest.fixture
def missing(role):
    def ask(schema="public"):
        with transaction(make_engine(role, "run"), "a test") as connection:
            return missing_rights(connection, read_shape(connection, schema))

    return ask


@pytest.fixture
def grant(execute, role):
    def run(*rights):
        for right in rights:
            execute(f"GRANT {right} TO {role.url.username}")

    return run


def test_the_owner_lacks_nothing(connection):
    assert missing_rights(connection, read_shape(connection, "public")) == []
    create_missing(connection, "public", bare=False)
    upgrade_sync_schema(connection)
    assert missing_rights(connection, read_shape(connection, "public")) == []


def test_what_an_empty_database_takes_is_named(missing, grant, database):
    assert missing() == [
        "CREATE on the database, to make the schema credstore_sync",
        "CREATE on schema public",
    ]
    grant(f"CREATE ON DATABASE {database.url.database}", "CREATE ON SCHEMA public")
    assert missing() == []


def test_a_missing_schema_takes_the_right_to_make_it(missing):
    assert missing("netraven") == ["CREATE on the database, to make the schema netraven and credstore_sync"]


def test_rights_on_each_table_are_named(missing, grant, execute, database):
    execute(W5FF43A7 + "CREATE SCHEMA credstore_sync; GRANT ALL ON SCHEMA credstore_sync TO PUBLIC")
    grant("SELECT ON ALL TABLES IN SCHEMA public", "INSERT ON public.tags, public.credentials", "UPDATE ON public.tags")
    assert missing() == [
        "UPDATE on public.credentials",
        "INSERT on public.credential_tags",
        "UPDATE on public.credential_tags",
    ]


def test_references_are_needed_where_a_new_table_points_to_an_old_one(missing, grant, execute, database):
    execute(F7B7109_STORE + "DROP TABLE {schema}.credential_tags")
    grant("SELECT, INSERT, UPDATE ON public.credentials", "CREATE ON SCHEMA public")
    grant(f"CREATE ON DATABASE {database.url.database}")
    assert missing() == ["REFERENCES on public.credentials"]
    grant("REFERENCES ON public.credentials")
    assert missing() == []


def test_rights_on_our_own_tables_are_named(missing, grant, role, engine, execute):
    with transaction(engine, "a test") as connection:
        upgrade_sync_schema(connection)
    grant("CREATE ON SCHEMA public", "USAGE ON SCHEMA credstore_sync")
    grant("SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA credstore_sync")
    assert missing() == []
    execute(f"REVOKE UPDATE ON credstore_sync.runs FROM {role.url.username}")
    assert missing() == ["UPDATE on credstore_sync.runs"]


def test_a_schema_that_may_not_be_entered_is_named(missing, execute):
    execute("CREATE SCHEMA app; CREATE SCHEMA credstore_sync;" + W5FF43A7.replace("{schema}", "app"))
    found = missing("app")
    assert found[0] == "USAGE on schema app"
    assert "SELECT on app.tags" in found
    assert found[-2:] == ["USAGE on schema credstore_sync", "CREATE on schema credstore_sync"]


def test_row_level_security_that_hides_rows_is_named(missing, grant, execute, database):
    execute(W5FF43A7 + "ALTER TABLE {schema}.credentials ENABLE ROW LEVEL SECURITY; CREATE SCHEMA credstore_sync;")
    grant("ALL ON ALL TABLES IN SCHEMA public", "ALL ON SCHEMA credstore_sync")
    assert missing() == ["seeing all rows of public.credentials: row level security hides some"]


def test_temporary_tables_and_read_only_databases_are_named(missing, grant, execute, database):
    name = database.url.database
    grant("CREATE ON SCHEMA public", f"CREATE ON DATABASE {name}")
    execute(
        f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC; ALTER DATABASE {name} SET default_transaction_read_only = on"
    )
    assert missing() == [
        "writing at all: the server is a standby, or transactions are read-only by default",
        "TEMPORARY on the database",
    ]


def test_asking_changes_nothing(engine):
    with engine.connect() as connection:
        connection.execute(sa.text("SET TRANSACTION READ ONLY"))
        shape = read_shape(connection, "public")
        missing_rights(connection, shape)
        describe(connection, shape)


def test_the_description_counts_the_rows_that_are_there(connection, execute, database):
    execute(F7B7109_STORE + "INSERT INTO {schema}.credentials (id, name, username) VALUES (1, 'a', 'b'), (2, 'a', 'b')")
    found = describe(connection, read_shape(connection, "public"))
    assert found.rows == {"credentials": 2, "credential_tags": 0}
    assert (found.database, found.schema, found.user) == (database.url.database, "public", database.url.username)
    assert (found.host, found.port, found.encoding) == (None, None, "UTF8")
    assert found.server_version.split(".")[0].isdigit()
    assert found.database_bytes > 1_000_000
