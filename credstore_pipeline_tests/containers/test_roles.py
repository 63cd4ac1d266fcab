"""Least privilege: what each role may, and that whatever it may not is named."""

import pytest

from credstore_pipeline.core.errors import TargetError
from credstore_pipeline.core.seeding.plan import Seeding
from credstore_pipeline.core.seeding.seed import seed_tags
from credstore_pipeline.store import CredentialStore
from credstore_pipeline_tests.core.target.ddl import W5FF43A7
from credstore_pipeline_tests.pipeline.flow import TARGET_KEY, flow, source

FLAVOUR = "orm_envelope"
SYNC = "SELECT count(*) FROM credstore_sync.runs"


@pytest.fixture
def store(roles):
    """A store of the application's on what the migrator made and seeded."""
    migrator, app = roles()
    seed_tags(Seeding(migrator), "seed")
    with CredentialStore(app.url, TARGET_KEY) as store:
        yield store


@pytest.mark.parametrize("born", ["", W5FF43A7], ids=["empty", "made by the application"])
def test_the_migrator_migrates_re_syncs_and_proves(lab, roles, execute, born):
    made = lab(FLAVOUR)
    if born:
        execute(born.replace("{schema}", "public"))
    migrator, app = roles()
    assert flow(made, target=migrator).load().kind == "initial"
    with source(made) as legacy:
        legacy.execute("UPDATE credentials SET description = 'changed since'")
        legacy.execute("DELETE FROM credential_tags WHERE rowid = (SELECT min(rowid) FROM credential_tags)")
    again = flow(made, target=migrator)
    assert again.load().counts["credentials"]["updated"] > 0
    assert again.red() == {}
    with CredentialStore(app.url, TARGET_KEY) as store:
        assert {one.description for one in store.list_credentials()} == {"changed since"}


def test_the_application_does_all_it_does(store):
    store.initialize()
    (tag, *_) = store.list_tags()
    one = store.add_credential("One", "one", "a password", tags=[tag.id])
    assert [found.password for found in store.get_credentials_by_tag(tag.id)] == ["a password"]
    assert [found.id for found in store.get_smart_credentials_for_tag(tag.id)] == [one]
    store.update_credential_status(one, tag.id, success=True)
    store.update_credential(one, description="new")
    store.set_priority(one, tag.id, 7.0)
    store.optimize_credential_priorities(tag.id)
    assert store.get_credential_stats()
    assert store.reencrypt_all_credentials()
    store.dissociate(one, tag.id)
    assert store.delete_credential(one)
    assert store.delete_tag(store.add_tag("Own"))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM credstore_sync.data_key",
        "CREATE TABLE public.other (id int)",
        "CREATE SCHEMA other",
        "ALTER TABLE credentials ALTER COLUMN password TYPE text",
        "TRUNCATE credentials CASCADE",
        "CREATE TRIGGER t BEFORE UPDATE ON tags FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "CREATE TEMPORARY TABLE other (id int)",
        "SELECT rolpassword FROM pg_authid",
    ],
)
def test_the_application_may_not(store, roles, statement):
    import psycopg2

    connection = psycopg2.connect(roles().app.url.set(drivername="postgresql").render_as_string(hide_password=False))
    try:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege), connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


def test_neither_role_is_more_than_it_needs(roles, execute):
    roles()
    flags = "rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls"
    assert (
        execute(f"SELECT bool_or({flags}), count(*) FROM pg_roles WHERE rolname LIKE 'credstore\\_%%'")[0][0] is False
    )
    roles()


@pytest.mark.parametrize(
    ("right", "table"),
    [("SELECT", "credentials"), ("INSERT", "tags"), ("UPDATE", "credential_tags"), ("INSERT", "credentials")],
)
def test_a_right_that_the_migrator_lacks_is_named_before_anything_is_written(lab, roles, execute, right, table):
    made = lab(FLAVOUR)
    execute(W5FF43A7.replace("{schema}", "public"))
    migrator, _ = roles()
    execute(f"REVOKE {right} ON public.{table} FROM credstore_migrator")
    with pytest.raises(TargetError, match=rf"rights are missing: {right} on public\.{table}"):
        flow(made, target=migrator).load()
    assert execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'credstore_sync'") == [(0,)]


@pytest.mark.parametrize(
    ("right", "table", "work", "told"),
    [
        ("SELECT", "tags", lambda store: store.list_tags(), "SELECT on table tags"),
        ("INSERT", "credentials", lambda store: store.add_credential("a", "b", "c"), "INSERT on table credentials"),
        ("UPDATE", "tags", lambda store: store.update_tag("tag-default", name="x"), "UPDATE and SELECT on table tags"),
        ("DELETE", "tags", lambda store: store.delete_tag("tag-default"), "DELETE and SELECT on table tags"),
    ],
)
def test_a_right_that_the_application_lacks_is_named(store, execute, right, table, work, told):
    execute(f"REVOKE {right} ON public.{table} FROM credstore_app")
    with pytest.raises(TargetError) as refused:
        work(store)
    assert f"a right is missing: {told}" in str(refused.value)
    assert "SQLSTATE 42501" in str(refused.value)


def test_a_schema_that_may_not_be_entered_is_named(store, execute):
    execute("REVOKE USAGE ON SCHEMA public FROM credstore_app, PUBLIC")
    with pytest.raises(TargetError, match="a right is missing: USAGE or CREATE on schema public"):
        store.list_tags()


def test_a_role_that_may_not_connect_is_told_so(store, roles, execute, database):
    app = roles().app
    execute(f"REVOKE CONNECT ON DATABASE {database.url.database} FROM credstore_app")
    with (
        CredentialStore(app.url, TARGET_KEY) as shut,
        pytest.raises(TargetError, match="may not connect to the database"),
    ):
        shut.list_tags()
