import copy
import dataclasses
import pickle

import pytest

CANARY = "canary-3b1f-never-in-a-repr"

CREDENTIAL = {"id", "name", "username", "password", "use_keys", "key_file", "description", "success_count"} | {
    *("failure_count", "last_used", "last_success", "last_failure", "created_at", "updated_at")
}
BY_TAG = (CREDENTIAL - {"created_at", "updated_at"}) | {"tag_success_count", "tag_failure_count", "priority", "tag_id"}
SMART = {"id", "name", "username", "password", "use_keys", "key_file", "score", "success_rate", "attempts"} | {
    *("priority", "last_success", "tag_id")
}


@pytest.fixture
def results(store):
    """One of each result that holds a password."""
    store.add_tag("Routers", tag_id="routers")
    credential_id = store.add_credential("Core", "admin", CANARY, tags=["routers"])
    store.update_credential_status(credential_id, "routers", True)
    return {
        "credential": store.get_credential(credential_id),
        "tagged": store.get_credentials_by_tag("routers")[0],
        "ranked": store.get_smart_credentials_for_tag("routers")[0],
    }


@pytest.mark.parametrize("kind", ["credential", "tagged", "ranked"])
def test_no_repr_shows_a_password(results, kind):
    one = results[kind]
    assert one.password == CANARY
    for shown in (repr(one), str(one), f"{one}", f"{one!r}", repr([one])):
        assert CANARY not in shown
        assert "Core" in shown


@pytest.mark.parametrize(("kind", "names"), [("credential", CREDENTIAL), ("tagged", BY_TAG), ("ranked", SMART)])
def test_asdict_has_the_applications_names(results, kind, names):
    as_dictionary = results[kind].asdict()
    assert set(as_dictionary) == names
    assert as_dictionary["password"] == CANARY
    assert as_dictionary["last_success"] == results[kind].last_success.isoformat()


def test_results_are_read_by_name_as_the_applications_callers_do(results):
    one = results["tagged"]
    assert (one["username"], one["password"], one["tag_success_count"]) == ("admin", CANARY, 1)
    assert dict(one) == one.asdict()
    assert one.get("nothing", 7) == 7
    assert one.get("priority") == 0.0
    assert ("priority" in one, "score" in one) == (True, False)
    with pytest.raises(KeyError):
        one["created_at_of_nothing"]


def test_results_cannot_be_changed(results):
    with pytest.raises(AttributeError):
        results["credential"].password = "x"


@pytest.mark.parametrize("kind", ["tagged", "ranked"])
def test_results_of_a_selection_are_copied_compared_and_not_pickled_with_a_password_inside(results, store, kind):
    one = results[kind]
    select = {"tagged": store.get_credentials_by_tag, "ranked": store.get_smart_credentials_for_tag}[kind]
    assert one == select("routers")[0] == copy.deepcopy(one)
    assert len({one, select("routers")[0], copy.copy(one)}) == 1
    assert CANARY not in str(dataclasses.asdict(one))
    with pytest.raises(TypeError, match="is not pickled"):
        pickle.dumps(one)
    assert pickle.loads(pickle.dumps(one.asdict()))["password"] == CANARY
    with pytest.raises((AttributeError, TypeError)):
        one.password = "x"
