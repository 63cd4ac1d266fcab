import math
import threading

import pytest

from credstore_pipeline.store import Link, NotFound, ValueRefused


@pytest.fixture
def ids(store):
    """Two credentials and two tags."""
    credentials = sorted(store.add_credential(name, "admin") for name in "ab")
    return credentials, sorted(store.add_tag(name) for name in ("Routers", "Switches"))


def links_of(store):
    return [(one.credential_id, one.tag_id, one.priority) for one in store.list_associations()]


def test_an_association_is_made_once_and_its_priority_set_again(store, ids):
    (a, _), (routers, _) = ids
    first = store.associate(a, routers)
    second = store.associate(a, routers, 50)
    assert (first.id, first.priority, second.id, second.priority) == (second.id, 0.0, first.id, 50.0)
    assert links_of(store) == [(a, routers, 50.0)]


def test_unknown_ends_are_refused(store, ids):
    (a, _), (routers, _) = ids
    with pytest.raises(NotFound, match="credentials id=nowhere: does not exist"):
        store.associate("nowhere", routers)
    with pytest.raises(NotFound, match="tags id=nowhere: does not exist"):
        store.associate(a, "nowhere")
    assert links_of(store) == []


def test_many_are_associated_in_the_order_given_or_none(store, ids):
    (a, b), (routers, switches) = ids
    made = store.associate_many([Link(b, switches, 7), (a, routers), (a, switches, 1.5), (b, switches, 8)])
    assert [(one.credential_id, one.tag_id, one.priority) for one in made] == [
        (b, switches, 8.0),
        (a, routers, 0.0),
        (a, switches, 1.5),
    ]
    with pytest.raises(NotFound):
        store.associate_many([(b, routers), (a, "nowhere")])
    assert (b, routers, 0.0) not in links_of(store)
    assert store.associate_many([]) == []


def test_many_more_than_fit_one_statement_are_associated(store, sql):
    sql("INSERT INTO tags (id, name) SELECT 't' || n, 't' || n FROM generate_series(1, 1500) n")
    a = store.add_credential("a", "admin")
    made = store.associate_many((a, f"t{number}", number) for number in range(1, 1501))
    assert len(made) == 1500
    assert sql("SELECT count(*), sum(priority) FROM credential_tags") == [(1500, 1500 * 1501 / 2)]
    assert store.dissociate_many((a, f"t{number}") for number in range(1, 1501)) == 1500


def test_an_association_is_taken_away_once(store, ids):
    (a, b), (routers, switches) = ids
    store.associate_many([(a, routers), (b, routers), (b, switches)])
    assert store.dissociate(a, routers) is True
    assert store.dissociate(a, routers) is False
    assert store.dissociate_many([(a, routers), (b, routers), (b, routers)]) == 1
    assert links_of(store) == [(b, switches, 0.0)]


def test_a_priority_is_set_where_there_is_an_association(store, ids):
    (a, _), (routers, switches) = ids
    store.associate(a, routers)
    assert store.set_priority(a, routers, -3.5) is True
    assert store.set_priority(a, switches, 1) is False
    assert links_of(store) == [(a, routers, -3.5)]


def test_many_priorities_are_set_or_none(store, ids):
    (a, b), (routers, switches) = ids
    store.associate_many([(a, routers), (b, routers)])
    assert store.set_priority_many([(a, routers, 1), Link(b, routers, 2)]) == 2
    with pytest.raises(NotFound, match=f"credential_tags id={b}/{switches}: does not exist"):
        store.set_priority_many([(a, routers, 9), (b, switches, 9)])
    assert links_of(store) == [(a, routers, 1.0), (b, routers, 2.0)]


@pytest.mark.parametrize("priority", [math.nan, math.inf, -math.inf, "high", None, True])
def test_a_priority_is_a_finite_number(store, ids, priority):
    (a, _), (routers, _) = ids
    with pytest.raises(ValueRefused, match=r"credential_tags\.priority"):
        store.associate(a, routers, priority)
    with pytest.raises(ValueRefused):
        store.set_priority(a, routers, priority)


def test_a_pair_that_stands_there_twice_is_one_association(store, ids, sql):
    (a, _), (routers, _) = ids
    for row_id in ("1", "2"):
        sql(
            "INSERT INTO credential_tags (id, credential_id, tag_id, priority) VALUES (%s, %s, %s, 5)",
            row_id,
            a,
            routers,
        )
    assert store.associate(a, routers, 6).id == "1"
    assert [one.priority for one in store.list_associations()] == [6.0, 6.0]
    assert store.dissociate_many([(a, routers)]) == 1
    assert links_of(store) == []


def test_clients_that_associate_at_once_make_one_row(store, ids, sql):
    (a, b), (routers, switches) = ids
    pairs = [(a, routers, 1), (b, switches, 2), (b, routers, 3)]
    rounds = 8
    everybody = threading.Barrier(4, timeout=120)
    counted = []

    def associate(turn):
        for _ in range(rounds):
            everybody.wait()
            store.associate_many(pairs[turn % 3 :] + pairs[: turn % 3])
            everybody.wait()
            if turn == 0:
                counted.extend(sql("SELECT count(*) FROM credential_tags"))
                sql("DELETE FROM credential_tags")

    threads = [threading.Thread(target=associate, args=(turn,)) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted == [(3,)] * rounds


def test_associations_are_listed_by_credential_and_tag(store, ids):
    (a, b), (routers, switches) = ids
    store.associate_many([(a, routers), (b, routers), (b, switches)])
    assert [one.tag_id for one in store.list_associations(credential_id=b)] == [routers, switches]
    assert [one.credential_id for one in store.list_associations(tag_id=routers)] == [a, b]
    assert len(store.list_associations(b, switches)) == 1
