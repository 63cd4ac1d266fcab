import pytest

from credstore_pipeline.store import AlreadyThere, ValueRefused


def test_an_added_tag_comes_back(store):
    tag_id = store.add_tag("Routers", "Network routers", "#FF5733")
    found = store.get_tag(tag_id)
    assert (found.id, found.name, found.description, found.color) == (tag_id, "Routers", "Network routers", "#FF5733")
    assert found == store.get_tag_by_name("Routers")
    assert found.asdict()["created_at"] == found.created_at.isoformat()


def test_a_tag_may_bring_its_id_and_has_a_colour_by_default(store):
    assert store.add_tag("Default", tag_id="tag-default") == "tag-default"
    assert store.get_tag("tag-default").color == "#6366F1"


def test_unknown_tags_are_none(store):
    assert store.get_tag("nowhere") is None
    assert store.get_tag_by_name("routers") is None
    assert store.update_tag("nowhere", name="x") is None
    assert store.update_tag("nowhere") is None
    assert store.delete_tag("nowhere") is False


def test_a_name_is_unique_and_its_case_counts(store):
    first = store.add_tag("Routers")
    with pytest.raises(AlreadyThere, match="ix_tags_name") as caught:
        store.add_tag("Routers")
    assert "Routers" not in str(caught.value)
    other = store.add_tag("routers")
    with pytest.raises(AlreadyThere):
        store.update_tag(other, name="Routers")
    with pytest.raises(AlreadyThere):
        store.add_tag("Another", tag_id=first)
    assert {tag.name for tag in store.list_tags()} == {"Routers", "routers"}


def test_tags_are_listed_by_name(store):
    for name in ("Switches", "Firewalls", "Routers"):
        store.add_tag(name)
    assert [tag.name for tag in store.list_tags()] == ["Firewalls", "Routers", "Switches"]
    assert [tag.name for tag in store.list_tags(skip=1, limit=1)] == ["Routers"]


def test_an_update_changes_what_is_given(store):
    tag_id = store.add_tag("Routers", "d", "#FF5733")
    assert store.update_tag(tag_id, color="#000000").color == "#000000"
    assert store.update_tag(tag_id, name="R", description="").name == "R"
    found = store.get_tag(tag_id)
    assert (found.name, found.description, found.color) == ("R", None, "#000000")


def test_a_deleted_tag_takes_its_associations_along_and_leaves_the_credentials(store, sql):
    tags = [store.add_tag("Routers"), store.add_tag("Switches")]
    store.add_credential("Core", "admin", tags=tags)
    assert store.delete_tag(tags[0]) is True
    assert sql("SELECT tag_id FROM credential_tags") == [(tags[1],)]
    assert sql("SELECT count(*) FROM credentials") == [(1,)]


@pytest.mark.parametrize("color", ["red", "#FFF", "#GGGGGG", "#FF5733 ", "", "#FF5733\n"])
def test_a_colour_is_six_hexadecimal_digits(store, color):
    with pytest.raises(ValueRefused, match=r"tags\.color"):
        store.add_tag("Routers", color=color)
    with pytest.raises(ValueRefused, match=r"tags\.color"):
        store.update_tag("any", color=color)
