"""The tables that the store meets: none, those of each version of the application, those of others."""

import threading

import pytest

from credstore_pipeline.core.errors import LoadLocked, ShapeRefused, TargetError
from credstore_pipeline.core.target.connect import make_engine
from credstore_pipeline.core.target.lock import take_lock
from credstore_pipeline.core.target.shape import read_shape
from credstore_pipeline.core.target.tables import create_missing
from credstore_pipeline.store import NotFound, TablesMissing, tables
from credstore_pipeline_tests.core.target.ddl import (
    F7B7109,
    F7B7109_STORE,
    NEWEST,
    TAGS_OF_THE_FIRST_MIGRATION,
    W5FF43A7,
)

pytestmark = pytest.mark.usefixtures("own")


def use_everything(store):
    """Go once through every operation."""
    store.initialize()
    routers, switches = store.add_tag("Routers"), store.add_tag("Switches")
    one = store.add_credential("Core", "admin", "secret", tags=[routers])
    two = store.add_credential("Edge", "admin", "other", tags=[switches])
    store.associate_many([(two, routers, 50), (one, switches, 3)])
    store.set_priority(one, routers, 60)
    assert [found.password for found in store.get_credentials_by_tag(routers)] == ["secret", "other"]
    assert [found.id for found in store.get_credentials_for_tags([routers, switches])] == [one, two]
    assert store.update_credential_status(one, routers, True)
    assert store.get_smart_credentials_for_tag(routers)[0].id == one
    assert store.optimize_credential_priorities(routers)
    assert store.get_credential_stats().success_rate == store.get_tag_credential_stats(routers).success_rate == 100.0
    assert store.update_credential(one, description="changed").description == "changed"
    assert store.update_tag(routers, name="R").name == "R"
    assert store.reencrypt_all_credentials().by_key == {"default": 2}
    assert store.delete_tag(switches)
    assert [link.tag_id for link in store.list_associations()] == [routers, routers]
    assert store.delete_credential(two)
    assert [link.credential_id for link in store.list_associations()] == [one]
    with pytest.raises(NotFound):
        store.associate(one, switches)


@pytest.mark.parametrize("ddl", ["", F7B7109_STORE, F7B7109, W5FF43A7], ids=["empty", "store", "f7b7109", "5ff43a7"])
def test_every_operation_works_on_the_tables_there_are(make_store, sql, ddl):
    if ddl:
        sql(ddl.format(schema="public"))
    use_everything(make_store())


def test_the_tags_of_the_first_migration_are_filled(make_store, sql):
    sql((TAGS_OF_THE_FIRST_MIGRATION + W5FF43A7.replace(F7B7109, F7B7109_STORE)).format(schema="public"))
    use_everything(make_store())


def test_the_tables_are_those_that_the_pipeline_makes(make_store, database, sql):
    make_store().initialize()
    with make_engine(database, "test").begin() as connection:
        create_missing(connection, "beside", bare=False)
        made, beside = read_shape(connection, "public"), read_shape(connection, "beside")
        assert made.tables["tags"] == beside.tables["tags"]
        assert made.tables["credentials"] == beside.tables["credentials"]
    indexes = "SELECT tablename, indexname FROM pg_indexes WHERE schemaname = %s ORDER BY 1, 2"
    assert sql(indexes, "public") == sql(indexes, "beside") != []


def test_initializing_changes_no_table_that_is_there(make_store, sql):
    sql(F7B7109.format(schema="public"))
    before = sql(
        "SELECT oid, relfilenode, xmin::text FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
    )
    store = make_store()
    store.initialize()
    store.initialize()
    after = sql(
        "SELECT oid, relfilenode, xmin::text FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
    )
    assert before == after


def test_stores_that_initialize_at_once_make_the_tables_once(make_store):
    stores = [make_store() for _ in range(4)]
    failed = []

    def initialize(store):
        try:
            store.initialize()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=initialize, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert stores[0].list_tags() == []


@pytest.mark.parametrize(
    ("ddl", "words"),
    [
        (NEWEST, "credentials has no name"),
        ("CREATE TABLE {schema}.tags (id integer, name varchar(50))", "tags.id is integer"),
    ],
)
def test_tables_of_others_are_refused_with_what_differs(make_store, sql, ddl, words):
    sql(ddl.format(schema="public"))
    with pytest.raises(ShapeRefused, match=words):
        make_store().initialize()


def test_a_load_that_is_making_the_tables_is_waited_for_and_named(make_store, database, monkeypatch):
    monkeypatch.setattr(tables, "LOCK_WAIT_S", 0.2)
    with make_engine(database, "4f0c").begin() as connection:
        take_lock(connection, "public", 1)
        with pytest.raises(LoadLocked, match="run 4f0c"):
            make_store().initialize()
    make_store().initialize()


def test_an_application_role_needs_no_right_to_create(make_store, store, login, sql):
    role = login()
    sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role.url.username}")
    use_everything(make_store(url=role.url))


def test_a_role_that_may_not_create_is_told_so(make_store, login):
    store = make_store(url=login().url)
    with pytest.raises(TargetError, match="a right is missing") as caught:
        store.initialize()
    assert caught.value.sqlstate == "42501"
    with pytest.raises(TablesMissing):
        store.list_tags()


def test_a_store_in_use_by_the_application_keeps_rows_of_both(make_store, sql):
    """Rows that the application writes meanwhile, NULLs included, are read as it means them."""
    sql(W5FF43A7.format(schema="public"))
    store = make_store()
    sql("INSERT INTO tags (id, name) VALUES ('tag-default', 'Default')")
    sql("INSERT INTO credentials (id, name, username, password) VALUES ('legacy', 'Legacy', 'admin', 'in clear')")
    sql("INSERT INTO credential_tags (id, credential_id, tag_id) VALUES ('l', 'legacy', 'tag-default')")
    ours = store.add_credential("Ours", "admin", "sealed", tags=["tag-default"])
    assert [one.id for one in store.get_credentials_by_tag("tag-default")] == [ours, "legacy"]
    assert store.get_credential("legacy").password == "in clear"
    assert store.get_tag("tag-default").created_at is None


def test_an_association_without_its_tag_is_selected(make_store, sql):
    """f7b7109 has no foreign key on tags, and its tags live elsewhere."""
    sql(F7B7109.format(schema="public"))
    store = make_store()
    one = store.add_credential("Core", "admin", "x")
    sql("INSERT INTO credential_tags (id, credential_id, tag_id, priority) VALUES ('l', %s, 'elsewhere', 1)", one)
    assert [found.id for found in store.get_credentials_by_tag("elsewhere")] == [one]
    assert store.update_credential_status(one, "elsewhere", True)
    assert store.list_associations(one)[0].success_count == 1
