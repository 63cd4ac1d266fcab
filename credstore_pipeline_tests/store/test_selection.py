from dataclasses import fields
from datetime import datetime, timedelta

import pytest

from credstore_pipeline.store import SecretUnopenable

JANUARY = datetime(2026, 1, 1)


@pytest.fixture
def put(store, sql):
    """Add a credential under tags with a priority each, made that many days after the first of January."""

    def put(name, day, **priorities):
        credential_id = store.add_credential(name, "admin", f"password of {name}", tags=priorities)
        made = None if day is None else JANUARY + timedelta(days=day)
        sql("UPDATE credentials SET created_at = %s WHERE id = %s", made, credential_id)
        for tag, priority in priorities.items():
            sql(
                "UPDATE credential_tags SET priority = %s WHERE credential_id = %s AND tag_id = %s",
                priority,
                credential_id,
                tag,
            )
        return credential_id

    for tag in ("routers", "switches"):
        store.add_tag(tag.title(), tag_id=tag)
    return put


def names(selected):
    return [one.name for one in selected]


def test_a_tag_gives_the_highest_priority_first_and_of_equal_ones_the_oldest(store, put):
    put("young", 9, routers=1)
    put("best", 5, routers=100)
    put("unordered", 3, routers=None)
    put("old", 2, routers=1)
    put("ageless", None, routers=1)
    put("negative", 1, routers=-5)
    put("elsewhere", 0, switches=1000)
    selected = store.get_credentials_by_tag("routers")
    assert names(selected) == ["best", "old", "young", "ageless", "unordered", "negative"]
    assert [one.password for one in selected][:2] == ["password of best", "password of old"]
    assert [one.priority for one in selected] == [100.0, 1.0, 1.0, 1.0, 0.0, -5.0]


def test_ties_down_to_the_moment_are_broken_by_id_always_the_same(store, put, sql):
    ids = sorted(put(f"c{number}", 1, routers=0) for number in range(40))
    assert [one.id for one in store.get_credentials_by_tag("routers")] == ids
    sql("UPDATE credentials SET description = 'moves the row' WHERE id > %s", ids[20])
    sql("UPDATE credentials SET description = 'moves the row' WHERE id < %s", ids[10])
    assert [one.id for one in store.get_credentials_by_tag("routers")] == ids
    assert [one.id for one in store.get_smart_credentials_for_tag("routers", 40)] == ids


def test_an_unknown_tag_selects_nothing(store):
    assert store.get_credentials_by_tag("nowhere") == []
    assert store.get_credentials_for_tags(["nowhere"]) == []
    assert store.get_credentials_for_tags([]) == []
    assert store.get_smart_credentials_for_tag("nowhere") == []


def test_a_devices_tags_together_give_each_credential_once_at_its_best_priority(store, put):
    put("both", 1, routers=5, switches=50)
    put("router", 2, routers=20)
    put("switch", 3, switches=70)
    selected = store.get_credentials_for_tags(["switches", "routers", "routers"])
    assert [(one.name, one.tag_id, one.priority) for one in selected] == [
        ("switch", "switches", 70.0),
        ("both", "switches", 50.0),
        ("router", "routers", 20.0),
    ]


def test_a_pair_that_stands_there_twice_is_selected_once(store, put, sql):
    twice = put("twice", 1, routers=5)
    put("once", 2, routers=6)
    sql("INSERT INTO credential_tags (id, credential_id, tag_id, priority) VALUES ('z', %s, 'routers', 7)", twice)
    assert [(one.name, one.priority) for one in store.get_credentials_by_tag("routers")] == [
        ("twice", 7.0),
        ("once", 6.0),
    ]
    assert sorted(names(store.get_smart_credentials_for_tag("routers"))) == ["once", "twice"]


def test_null_counters_and_flags_are_read_as_the_application_means_them(store, put, sql):
    put("bare", 1, routers=None)
    sql("UPDATE credentials SET success_count = NULL, failure_count = NULL, use_keys = NULL, updated_at = NULL")
    sql("UPDATE credential_tags SET success_count = NULL, failure_count = NULL, created_at = NULL")
    (one,) = store.get_credentials_by_tag("routers")
    assert (one.success_count, one.tag_failure_count, one.use_keys, one.priority) == (0, 0, False, 0.0)
    (ranked,) = store.get_smart_credentials_for_tag("routers")
    assert (ranked.score, ranked.attempts, ranked.success_rate) == (0.375, 0, None)
    assert store.get_credential(one.id).asdict()["updated_at"] is None


def test_one_password_that_does_not_open_is_named_or_left_out(store, put, make_store, caplog):
    """The application's store returned an empty list for the whole tag, or ciphertext as a password."""
    put("good", 1, routers=1)
    lost = make_store("a lost key").add_credential("lost", "admin", "canary", tags=["routers"])
    store.set_priority(lost, "routers", 99)
    for select in (store.get_credentials_by_tag, store.get_smart_credentials_for_tag):
        with pytest.raises(SecretUnopenable, match=f"credentials id={lost}: no key of this store") as caught:
            select("routers")
        assert "canary" not in str(caught.value)
        assert names(select("routers", unopenable="skip")) == ["good"]
    assert names(store.get_credentials_for_tags(["routers"], unopenable="skip")) == ["good"]
    assert lost in caplog.text


def test_under_a_wrong_key_nothing_is_selected(store, put, make_store):
    """The application's store returned the stored texts as passwords."""
    store.associate(store.add_credential("by key", "admin", use_keys=True), "routers", 9)
    put("sealed", 1, routers=8)
    wrong = make_store("a wrong key")
    for select in (wrong.get_credentials_by_tag, wrong.get_smart_credentials_for_tag):
        with pytest.raises(SecretUnopenable):
            select("routers")


def test_a_password_is_opened_when_it_is_read_and_never_comes_as_it_is_stored(store, put, make_store, sql):
    """Those before it in the order can be tried, though it does not open."""
    put("good", 1, routers=9)
    lost = make_store("a lost key").add_credential("lost", "admin", "canary", tags=["routers"])
    ((stored,),) = sql("SELECT password FROM credentials WHERE id = %s", lost)
    for select in (store.get_credentials_by_tag, store.get_smart_credentials_for_tag):
        good, closed = select("routers")
        assert good["password"] == good.password == "password of good"
        reads = (lambda one: one.password, lambda one: one["password"], lambda one: one.get("password"))
        for read in (*reads, type(closed).asdict, dict):
            with pytest.raises(SecretUnopenable, match=f"credentials id={lost}: no key of this store"):
                read(closed)
        assert stored not in repr(closed) + str(closed) + repr(vars_of(closed))
        assert closed.name == closed["name"] == "lost"


def vars_of(record):
    return {one.name: getattr(record, one.name) for one in fields(record)}


def test_a_limit_counts_what_is_returned_and_not_what_was_left_out(store, put, make_store):
    for number in range(3):
        make_store("a lost key").add_credential(f"lost {number}", "admin", "x", tags=["routers"])
    put("good", None, routers=0)
    assert names(store.get_smart_credentials_for_tag("routers", 1, unopenable="skip")) == ["good"]
    assert store.get_smart_credentials_for_tag("routers", 0, unopenable="skip") == []


def test_a_limit_opens_no_more_passwords_than_it_returns(store, put, make_store):
    put("best", 1, routers=9)
    put("second", 2, routers=8)
    make_store("a lost key").add_credential("lost", "admin", "x", tags=["routers"])
    assert names(store.get_credentials_by_tag("routers", limit=2)) == ["best", "second"]
    assert names(store.get_credentials_for_tags(["routers"], limit=1)) == ["best"]
    assert store.get_credentials_by_tag("routers", limit=0) == []
    last = store.get_credentials_by_tag("routers", limit=3)[2]
    with pytest.raises(SecretUnopenable):
        last["password"]


def test_a_limit_is_reached_past_any_number_of_doubled_rows(store, put, sql):
    put("twice", 1, routers=9, switches=9)
    put("next", 2, routers=8)
    ((twice,),) = sql("SELECT id FROM credentials WHERE name = 'twice'")
    for number in range(20):
        sql(
            "INSERT INTO credential_tags (id, credential_id, tag_id, priority) VALUES (%s, %s, 'routers', 9)",
            number,
            twice,
        )
    assert names(store.get_credentials_by_tag("routers", limit=2)) == ["twice", "next"]
    assert names(store.get_credentials_for_tags(["switches", "routers"], limit=2)) == ["twice", "next"]
    assert names(store.get_credentials_for_tags(["switches", "routers"], limit=1)) == ["twice"]
