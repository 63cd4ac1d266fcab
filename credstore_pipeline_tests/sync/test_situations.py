"""Each situation of docs/transition-window.md: what both sides did since the last pass, and what the pass does."""

import string

import pytest

from credstore_pipeline.core.load.transaction import load
from credstore_pipeline_tests.pipeline.flow import content, flow, rows_by_id, sealed, session, source, token

IN_TOKENS = {*string.ascii_letters, *string.digits, *"-_="}


def first(at, table="credentials"):
    return at.sql(f"SELECT min(id) FROM public.{table}")[0][0]


def in_source(at, statement, *values):
    with source(at) as store:
        store.execute(statement, values)


def legacy(at, password):
    return sealed(password, at.store.env["encryption_key"])


def row(at, row_id, table="credentials"):
    return content(at).get(f"{table} {row_id}")


def waiting(at):
    return at.sql(
        "SELECT source_table, row_id, column_name, kind FROM credstore_sync.conflicts WHERE outcome = 'waiting' "
        "ORDER BY conflict_id"
    )


def outcomes(at):
    return at.sql("SELECT column_name, kind, policy, outcome FROM credstore_sync.conflicts ORDER BY conflict_id")


def passed(at, **policies):
    run = flow(at, **policies)
    loaded = run.load()
    assert not run.red()
    return loaded.counts


# Columns


def test_what_changed_in_the_source_alone_is_taken(at):
    one = first(at)
    before = row(at, one)
    in_source(at, "UPDATE credentials SET username = 'new', password = ? WHERE id = ?", legacy(at, "new secret"), one)
    passed(at)
    assert row(at, one) == {**before, "username": "new", "password": "new secret"}
    assert waiting(at) == []


def test_what_changed_in_the_target_alone_stays(at):
    one = first(at)
    at.sql("UPDATE public.credentials SET username = 'theirs', password = %s WHERE id = %s", sealed("theirs"), one)
    before = at.state()
    in_source(at, "UPDATE credentials SET description = 'x' WHERE id <> ?", one)
    passed(at)
    assert [line for line in at.state() if one in line[2]] == [line for line in before if one in line[2]]


def test_the_same_change_on_both_sides_is_no_conflict_and_is_not_written(at):
    one = first(at)
    at.sql("UPDATE public.credentials SET password = %s WHERE id = %s", sealed("the same"), one)
    before = rows_by_id(at, "credentials")[one]
    in_source(at, "UPDATE credentials SET password = ? WHERE id = ?", legacy(at, "the same"), one)
    passed(at)
    assert rows_by_id(at, "credentials")[one] == before
    assert waiting(at) == []


def test_different_changes_of_one_column_wait_and_the_target_keeps_its_value(at):
    one = first(at)
    at.sql("UPDATE public.credentials SET description = 'theirs' WHERE id = %s", one)
    in_source(at, "UPDATE credentials SET description = 'ours', username = 'ours' WHERE id = ?", one)
    passed(at)
    assert (row(at, one)["description"], row(at, one)["username"]) == ("theirs", "ours")
    assert waiting(at) == [("credentials", one, "description", "changed")]
    verdict = flow(at).prove()["no_conflicts_wait"]
    assert (verdict.passed, verdict.fatal, verdict.rows[0]["column"]) == (False, False, "description")
    before = at.state("credstore_sync")
    passed(at)
    assert [line for line in at.state("credstore_sync") if line[0] not in ("runs", "verified")] == [
        line for line in before if line[0] not in ("runs", "verified")
    ]


def test_a_conflict_that_one_side_gives_up_waits_no_longer(at):
    one, other = at.sql("SELECT id FROM public.credentials ORDER BY id LIMIT 2")
    one, other = one[0], other[0]
    at.sql("UPDATE public.credentials SET key_file = 'theirs' WHERE id IN (%s, %s)", one, other)
    in_source(at, "UPDATE credentials SET key_file = 'ours' WHERE id IN (?, ?)", one, other)
    passed(at)
    assert len(waiting(at)) == 2
    at.sql("UPDATE public.credentials SET key_file = NULL WHERE id = %s", one)
    in_source(at, "UPDATE credentials SET key_file = NULL WHERE id = ?", other)
    passed(at)
    assert waiting(at) == []
    assert (row(at, one)["key_file"], row(at, other)["key_file"]) == ("ours", "theirs")


def test_a_column_that_the_target_changed_stays_the_targets_whatever_else_is_merged_in_the_row(at):
    """The base of a column moves only where both sides agree: else a later change of the source would win unseen."""
    one = first(at)
    at.sql("UPDATE public.credentials SET description = 'theirs' WHERE id = %s", one)
    in_source(at, "UPDATE credentials SET username = 'ours' WHERE id = ?", one)
    passed(at)
    in_source(at, "UPDATE credentials SET description = 'late' WHERE id = ?", one)
    passed(at)
    assert row(at, one)["description"] == "theirs"
    assert waiting(at) == [("credentials", one, "description", "changed")]


@pytest.mark.parametrize(("policy", "stands"), [("source", "ours, told"), ("target", "theirs, told")])
def test_a_policy_decides_and_what_is_discarded_is_kept_sealed(at, policy, stands):
    one = first(at)
    at.sql("UPDATE public.credentials SET description = 'theirs, told', password = %s WHERE id = %s", sealed("p"), one)
    in_source(at, "UPDATE credentials SET description = 'ours, told', password = ? WHERE id = ?", legacy(at, "q"), one)
    passed(at, conflicts=policy)
    assert row(at, one)["description"] == stands
    assert row(at, one)["password"] == "p"
    assert sorted(outcomes(at)) == [
        ("description", "changed", policy, policy),
        ("password", "changed", "manual", "waiting"),
    ]
    kept = at.sql("SELECT sealed_source, sealed_target FROM credstore_sync.conflicts")
    # A comma and a blank have no place in a ciphertext: nothing of what was discarded stands beside it.
    assert all(one.startswith("gAAAA") and set(one) <= IN_TOKENS for pair in kept for one in pair)
    passed(at, conflicts=policy)
    assert len(outcomes(at)) == 2


def test_another_ciphertext_of_the_same_password_is_no_change(at):
    before = at.state()
    for one, password in ((row["id"], row["password"]) for row in at.store.expected["credentials"]):
        if password:
            in_source(at, "UPDATE credentials SET password = ? WHERE id = ?", legacy(at, password), one)
    passed(at)
    assert at.state() == before


# Statistics


def test_counters_grow_by_what_the_source_counted_and_times_are_the_later_ones(at):
    one = first(at)
    at.sql(
        "UPDATE public.credentials SET success_count = 50, last_used = '2030-01-01', last_success = '2020-01-01', "
        "updated_at = '2030-01-01' WHERE id = %s",
        one,
    )
    in_source(
        at,
        "UPDATE credentials SET success_count = success_count + 3, failure_count = failure_count + 1, "
        "last_used = '2029-01-01 00:00:00.000000', last_success = '2029-01-01 00:00:00.000000', "
        "updated_at = '2029-01-01 00:00:00.000000' WHERE id = ?",
        one,
    )
    failures = row(at, one)["failure_count"]
    passed(at)
    now = row(at, one)
    assert (now["success_count"], now["failure_count"]) == (53, failures + 1)
    assert (now["last_used"], now["last_success"]) == ("2030-01-01T00:00:00", "2029-01-01T00:00:00")
    assert now["updated_at"] == "2030-01-01T00:00:00"


def test_a_counter_below_its_base_was_reset_and_counts_from_zero(at):
    one = first(at)
    in_source(at, "UPDATE credentials SET success_count = 10 WHERE id = ?", one)
    passed(at)
    before = row(at, one)["success_count"]
    in_source(at, "UPDATE credentials SET success_count = 2 WHERE id = ?", one)
    counts = passed(at)
    assert row(at, one)["success_count"] == before + 2
    assert counts["credentials"]["counter_resets"] == 1


def test_a_counter_stops_at_what_the_column_holds(at):
    one = first(at)
    at.sql("UPDATE public.credentials SET success_count = 2147483646 WHERE id = %s", one)
    in_source(at, "UPDATE credentials SET success_count = success_count + 5 WHERE id = ?", one)
    passed(at)
    assert row(at, one)["success_count"] == 2147483647


# Between reading and writing


def test_what_the_application_writes_between_reading_and_locking_is_merged(at):
    one = first(at)
    in_source(at, "UPDATE credentials SET success_count = success_count + 1, username = 'ours' WHERE id = ?", one)
    run, done = flow(at), []
    count = row(at, one)["success_count"]

    def log(line):
        if "credentials: 1 rows were read and are locked now" in line and not done:
            done.append(line)
            with session(at.database) as application:
                application.exec_driver_sql(
                    "UPDATE public.credentials SET success_count = success_count + 10, username = 'theirs' "
                    "WHERE id = %s",
                    (one,),
                )

    load(run.deployment, run.ring, run.run_id, run.cargo(), log=log)
    assert done
    assert (row(at, one)["success_count"], row(at, one)["username"]) == (count + 11, "theirs")
    assert waiting(at) == [("credentials", one, "username", "changed")]


# Deletions


def test_what_is_deleted_in_the_source_is_deleted_with_its_associations_and_leaves_a_tombstone(at):
    one = first(at)
    links = {link["id"] for link in at.store.expected["associations"] if link["credential_id"] == one}
    at.sql("UPDATE public.credentials SET success_count = 99, last_used = now(), updated_at = now() WHERE id = %s", one)
    in_source(at, "DELETE FROM credential_tags WHERE credential_id = ?", one)
    in_source(at, "DELETE FROM credentials WHERE id = ?", one)
    counts = passed(at)
    assert (counts["credentials"]["deleted"], counts["credential_tags"]["deleted"]) == (1, len(links))
    assert row(at, one) is None
    buried = at.sql("SELECT row_id FROM credstore_sync.row_state WHERE tombstone_at IS NOT NULL")
    assert {found[0] for found in buried} == {one, *links}


def test_associations_that_sqlite_left_behind_go_with_their_credential(at):
    one = first(at)
    in_source(at, "DELETE FROM credentials WHERE id = ?", one)
    passed(at)
    assert not [key for key, found in content(at).items() if found.get("credential_id") == one]


def test_what_is_deleted_in_the_source_and_changed_in_the_target_waits(at):
    one = first(at)
    at.sql("UPDATE public.credentials SET description = 'still needed' WHERE id = %s", one)
    before = content(at)
    in_source(at, "DELETE FROM credential_tags WHERE credential_id = ?", one)
    in_source(at, "DELETE FROM credentials WHERE id = ?", one)
    passed(at)
    assert content(at) == before
    assert waiting(at) == [("credentials", one, "*", "deleted_in_source")]


def test_a_credential_that_the_application_put_to_another_use_is_not_deleted_unasked(at):
    one, tag = first(at), first(at, "tags")
    at.sql("INSERT INTO public.credential_tags (id, credential_id, tag_id) VALUES ('theirs', %s, %s)", one, tag)
    in_source(at, "DELETE FROM credential_tags WHERE credential_id = ?", one)
    in_source(at, "DELETE FROM credentials WHERE id = ?", one)
    passed(at)
    assert row(at, "theirs", "credential_tags")
    assert waiting(at) == [("credentials", one, "*", "deleted_in_source")]


def test_a_tag_that_is_still_used_is_not_deleted_unasked(at):
    tag = at.store.expected["tags"][1]["id"]
    in_source(at, "DELETE FROM tags WHERE id = ?", tag)
    passed(at)
    assert row(at, tag, "tags")
    assert waiting(at) == [("tags", tag, "*", "deleted_in_source")]


@pytest.mark.parametrize("policy", ["source", "target"])
def test_a_policy_decides_about_a_deleted_row_that_was_changed(at, policy):
    one = first(at)
    at.sql("UPDATE public.credentials SET description = 'still needed' WHERE id = %s", one)
    in_source(at, "DELETE FROM credentials WHERE id = ?", one)
    passed(at, conflicts=policy)
    assert (row(at, one) is None) is (policy == "source")
    before = content(at)
    passed(at, conflicts=policy)
    assert content(at) == before
    assert outcomes(at) == [("*", "deleted_in_source", policy, policy)]


def test_a_row_deleted_in_the_target_stays_deleted_and_statistics_of_the_source_do_not_matter(at):
    one = first(at)
    at.sql("DELETE FROM public.credentials WHERE id = %s", one)
    left = content(at)
    in_source(at, "UPDATE credentials SET success_count = success_count + 1, updated_at = '2030-01-01 00:00:00' ")
    passed(at)
    assert content(at).keys() == left.keys()
    assert waiting(at) == []


def test_a_row_deleted_in_the_target_and_changed_in_the_source_waits(at):
    one = first(at)
    at.sql("DELETE FROM public.credentials WHERE id = %s", one)
    left = content(at)
    in_source(at, "UPDATE credentials SET description = 'changed' WHERE id = ?", one)
    passed(at)
    assert content(at) == left
    assert waiting(at) == [("credentials", one, "*", "deleted_in_target")]


@pytest.mark.parametrize("changed", [False, True])
def test_a_row_that_comes_back_is_new_if_it_changed_and_else_stays_deleted(at, changed):
    one = first(at)
    with source(at) as store:
        kept = store.execute("SELECT * FROM credentials WHERE id = ?", (one,)).fetchone()
        links = store.execute("SELECT * FROM credential_tags WHERE credential_id = ?", (one,)).fetchall()
        store.execute("DELETE FROM credential_tags WHERE credential_id = ?", (one,))
        store.execute("DELETE FROM credentials WHERE id = ?", (one,))
    before = content(at)
    passed(at)
    with source(at) as store:
        store.execute(f"INSERT INTO credentials VALUES ({', '.join('?' * len(kept))})", kept)
        store.executemany(f"INSERT INTO credential_tags VALUES ({', '.join('?' * len(links[0]))})", links)
        if changed:
            store.execute("UPDATE credentials SET username = 'again' WHERE id = ?", (one,))
        store.execute("UPDATE credentials SET success_count = 7 WHERE id = ?", (one,))
    passed(at)
    if changed:
        assert content(at) == {
            **before,
            f"credentials {one}": {**before[f"credentials {one}"], "username": "again", "success_count": 7},
        }
    else:
        assert row(at, one) is None
        assert not [key for key, found in content(at).items() if found.get("credential_id") == one]


# Quarantine


def test_a_new_value_that_cannot_be_opened_is_quarantined_as_a_change_and_its_associations_go_on(at):
    one = first(at)
    link = next(link["id"] for link in at.store.expected["associations"] if link["credential_id"] == one)
    before = row(at, one)
    lost = token("x", "a key that nobody has")
    in_source(at, "UPDATE credentials SET password = ?, username = 'new' WHERE id = ?", lost, one)
    in_source(at, "UPDATE credential_tags SET priority = 55 WHERE id = ?", link)
    passed(at)
    assert row(at, one) == before
    assert row(at, link, "credential_tags")["priority"] == 55
    quarantined = at.sql("SELECT source_id, reason, of_loaded_row FROM credstore_sync.quarantine")
    assert quarantined == [(one, "undecryptable_secret", True)]
    in_source(at, "UPDATE credentials SET password = ? WHERE id = ?", legacy(at, "mended"), one)
    passed(at)
    assert (row(at, one)["password"], row(at, one)["username"]) == ("mended", "new")
    assert at.sql("SELECT count(*) FROM credstore_sync.quarantine WHERE resolved_at IS NULL") == [(0,)]


# Size


def test_the_base_takes_at_most_400_bytes_a_row(at):
    with source(at) as store:
        for number in range(3000):
            store.execute(
                "INSERT INTO credentials SELECT ? || substr(id, 9), name, description, username, password, use_keys, "
                "key_file, success_count, failure_count, last_used, last_success, last_failure, created_at, updated_at "
                "FROM credentials LIMIT 1",
                (f"{number:08}",),
            )
    flow(at).load()
    rows, size = at.sql(
        "SELECT count(*), pg_total_relation_size('credstore_sync.row_state') FROM credstore_sync.row_state"
    )[0]
    assert rows > 3000
    assert size / rows <= 400
