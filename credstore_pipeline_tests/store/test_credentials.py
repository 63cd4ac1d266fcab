import pytest

from credstore_pipeline.store import NotFound, ValueRefused
from credstore_pipeline_tests.store.conftest import QUICK
from credstore_pipeline_tests.waiting import await_true

PASSWORD = "pass wörd 密碼"


def test_an_added_credential_comes_back_with_its_password(store):
    credential_id = store.add_credential(
        "Core", "admin", PASSWORD, use_keys=True, key_file="/keys/id", description="of the core"
    )
    found = store.get_credential(credential_id)
    assert (found.id, found.name, found.username, found.password) == (credential_id, "Core", "admin", PASSWORD)
    assert (found.use_keys, found.key_file, found.description) == (True, "/keys/id", "of the core")
    assert (found.success_count, found.failure_count, found.last_used) == (0, 0, None)
    assert found.created_at == found.updated_at is not None


def test_times_are_utc_whatever_the_server_is_set_to(own, store, sql):
    sql("ALTER DATABASE " + sql("SELECT current_database()")[0][0] + " SET TimeZone = 'Asia/Tokyo'")
    store.close()
    store.add_credential("Core", "admin")
    ((off,),) = sql("SELECT extract(epoch FROM (now() AT TIME ZONE 'UTC') - created_at) FROM credentials")
    assert abs(off) < 60


def test_the_password_stands_there_as_an_envelope_of_the_application(store, sql):
    store.add_credential("Core", "admin", PASSWORD)
    ((stored,),) = sql("SELECT password FROM credentials")
    assert stored.startswith('{"key_id": "default", "encrypted_data": "Z0FBQUFB')
    assert stored.endswith('", "version": "1.0"}')
    assert PASSWORD not in stored


@pytest.mark.parametrize("password", [None, ""])
def test_no_password_is_null(store, sql, password):
    credential_id = store.add_credential("Core", "admin", password)
    assert sql("SELECT password FROM credentials") == [(None,)]
    assert store.get_credential(credential_id).password is None


@pytest.mark.parametrize(
    "password", [" ", "a\0b", "gAAAAABnot-a-token", '{"key_id": "default", "encrypted_data": "Zm9v"}']
)
def test_what_only_looks_odd_is_a_password_like_any_other(store, password):
    assert store.get_credential(store.add_credential("Core", "admin", password)).password == password


def test_an_unknown_id_is_none(store):
    assert store.get_credential("nowhere") is None
    assert store.update_credential("nowhere", name="x") is None
    assert store.update_credential("nowhere") is None
    assert store.delete_credential("nowhere") is False


def test_tags_are_associated_at_priority_0_and_each_once(store):
    tags = [store.add_tag("Routers"), store.add_tag("Switches")]
    credential_id = store.add_credential("Core", "admin", tags=[*tags, tags[0]])
    found = store.list_associations(credential_id)
    assert [(one.tag_id, one.priority, one.success_count) for one in found] == [(tag, 0.0, 0) for tag in sorted(tags)]


def test_with_an_unknown_tag_nothing_is_stored(store, sql):
    tag = store.add_tag("Routers")
    with pytest.raises(NotFound, match="tags id=nowhere: does not exist"):
        store.add_credential("Core", "admin", PASSWORD, tags=[tag, "nowhere"])
    assert sql("SELECT count(*) FROM credentials") == [(0,)]


def test_pages_are_ordered_by_id_and_hold_no_passwords(store):
    ids = sorted(store.add_credential(f"C{number}", "admin", PASSWORD) for number in range(5))
    assert [one.id for one in store.list_credentials()] == ids
    assert [one.id for one in store.list_credentials(skip=1, limit=2)] == ids[1:3]
    assert [one.id for one in store.list_credentials(limit=2, after=ids[1])] == ids[2:4]
    assert store.list_credentials(after=ids[-1]) == []
    assert store.list_credentials(limit=0) == []
    assert not hasattr(store.list_credentials()[0], "password")
    with pytest.raises(ValueRefused, match="limit"):
        store.list_credentials(limit=-1)


def test_an_update_changes_what_is_given_and_nothing_else(store):
    credential_id = store.add_credential("Core", "admin", PASSWORD, key_file="/k", description="d")
    before = store.get_credential(credential_id)
    changed = store.update_credential(credential_id, name="Edge", use_keys=True)
    after = store.get_credential(credential_id)
    assert (changed.name, changed.use_keys, changed.updated_at) == ("Edge", True, after.updated_at)
    assert (after.username, after.password, after.key_file, after.description) == ("admin", PASSWORD, "/k", "d")
    assert after.created_at == before.created_at < after.updated_at


def test_an_update_without_changes_writes_nothing(store, sql):
    credential_id = store.add_credential("Core", "admin")
    before = sql("SELECT xmin::text, updated_at FROM credentials")
    assert store.update_credential(credential_id).name == "Core"
    assert sql("SELECT xmin::text, updated_at FROM credentials") == before


def test_a_password_is_changed_and_cleared(store, sql):
    credential_id = store.add_credential("Core", "admin", PASSWORD, key_file="/k", description="d")
    store.update_credential(credential_id, password="another")
    assert store.get_credential(credential_id).password == "another"
    store.update_credential(credential_id, password="", key_file="", description="")
    assert sql("SELECT password, key_file, description FROM credentials") == [(None, None, None)]


def test_an_update_shows_no_password_even_if_it_could_not_be_opened(store, make_store):
    credential_id = make_store("another key").add_credential("Core", "admin", PASSWORD)
    assert store.update_credential(credential_id, name="Edge").name == "Edge"


def test_a_deleted_credential_takes_its_associations_along(store, sql):
    tag = store.add_tag("Routers")
    credential_id, other = (store.add_credential(name, "admin", tags=[tag]) for name in "ab")
    assert store.delete_credential(credential_id) is True
    assert store.get_credential(credential_id) is None
    assert sql("SELECT credential_id FROM credential_tags") == [(other,)]


def test_the_store_works_in_another_schema(own, make_store, sql):
    store = make_store(schema='tenant "a"')
    store.initialize()
    tag = store.add_tag("Routers")
    credential_id = store.add_credential("Core", "admin", PASSWORD, tags=[tag])
    store.associate(credential_id, tag, 5)
    store.update_credential_status(credential_id, tag, True)
    assert [one.password for one in store.get_credentials_by_tag(tag)] == [PASSWORD]
    assert store.get_smart_credentials_for_tag(tag)[0].attempts == 1
    assert store.optimize_credential_priorities(tag)
    assert store.reencrypt_all_credentials().total == store.get_tag_credential_stats(tag).total_count == 1
    assert sql('SELECT count(*) FROM "tenant ""a""".credentials') == [(1,)]
    assert sql("SELECT to_regclass('public.credentials')") == [(None,)]


def test_a_store_is_closed_at_the_end_of_its_block_and_can_be_used_again(store, make_store, sql):
    ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'closing'"
    settings = type(QUICK)(application_name="closing")
    with make_store(settings=settings) as other:
        other.list_tags()
        assert sql(ours) == [(1,)]
    await_true(lambda: sql(ours) == [(0,)], max_s=60)
    assert other.list_tags() == []
