import pytest


@pytest.fixture
def used(store, sql):
    """Add a credential with counters of its own and under the tag, last used that many days ago."""
    store.add_tag("Routers", tag_id="routers")

    def used(name, own, under_tag, days=None):
        credential_id = store.add_credential(name, "admin", tags=["routers"])
        for table, counts, key in (("credentials", own, "id"), ("credential_tags", under_tag, "credential_id")):
            sql(
                f"UPDATE {table} SET success_count = %s, failure_count = %s,"
                f" last_used = now() AT TIME ZONE 'UTC' - make_interval(0, 0, 0, %s) WHERE {key} = %s",
                *(*counts, days, credential_id),
            )
        return credential_id

    return used


def test_an_empty_store_has_zeros(store):
    nothing = {"total_count": 0, "active_count": 0, "success_rate": 0.0, "failure_rate": 0.0}
    nobody = {"top_performers": [], "poor_performers": []}
    assert store.get_credential_stats().asdict() == {**nothing, **nobody}
    assert store.get_tag_credential_stats("nowhere").asdict() == {"tag_id": "nowhere", **nothing, **nobody}


def test_rates_count_every_attempt_and_activity_the_last_30_days(store, used):
    used("a", (2, 1), (1, 0), days=1)
    used("b", (0, 0), (0, 2), days=40)
    used("c", (None, None), (None, None))
    own, under_tag = store.get_credential_stats(), store.get_tag_credential_stats("routers")
    assert (own.total_count, own.active_count, own.success_rate, own.failure_rate) == (3, 1, 66.67, 33.33)
    assert (under_tag.total_count, under_tag.active_count, under_tag.success_rate) == (3, 1, 33.33)


def test_performers_are_ordered_by_their_rates(store, used):
    """The application divided integers in SQL, so that every rate below 100 % counted as 0."""
    ids = {wins: used(f"c{wins}", (wins, 10 - wins), (wins, 5)) for wins in range(8)}
    used("too few", (9, 0), (4, 0))
    stats = store.get_credential_stats()
    assert [one.id for one in stats.top_performers] == [ids[wins] for wins in (7, 6, 5, 4, 3)]
    assert [one.id for one in stats.poor_performers] == [ids[wins] for wins in (0, 1, 2, 3, 4)]
    best = stats.top_performers[0]
    assert (best.name, best.success_rate, best.failure_rate, best.attempts) == ("c7", 70.0, 30.0, 10)


def test_a_tags_performers_need_five_attempts_and_show_their_priority(store, used):
    used("few", (99, 0), (4, 0))
    good = used("good", (0, 0), (4, 1))
    store.set_priority(good, "routers", 7)
    stats = store.get_tag_credential_stats("routers")
    assert [(one.id, one.success_rate, one.priority) for one in stats.top_performers] == [(good, 80.0, 7.0)]
    assert stats.asdict()["poor_performers"][0]["failure_rate"] == 20.0


def test_of_equal_rates_the_one_with_more_attempts_comes_first(store, used):
    used("few", (10, 0), (0, 0))
    used("many", (20, 0), (0, 0))
    assert [one.name for one in store.get_credential_stats().top_performers] == ["many", "few"]


def test_a_pair_that_stands_there_twice_is_one_credential(store, used, sql):
    one = used("a", (0, 0), (1, 0))
    sql("INSERT INTO credential_tags (id, credential_id, tag_id, failure_count) VALUES ('z', %s, 'routers', 1)", one)
    stats = store.get_tag_credential_stats("routers")
    assert (stats.total_count, stats.success_rate) == (1, 50.0)
