"""A person settles conflicts; quarantined rows that are good by now are taken over."""

import base64
import json

import pytest

from credstore_pipeline.core.errors import CredstoreError, Superseded
from credstore_pipeline.core.sync.replay import replay
from credstore_pipeline.core.sync.settle import settle
from credstore_pipeline_tests.pipeline.flow import content, flow, opened, sealed, token
from credstore_pipeline_tests.sync.test_situations import first, in_source, legacy, outcomes, passed, row, waiting


def settled(at, choice, **how):
    ids = [found[0] for found in at.sql("SELECT conflict_id FROM credstore_sync.conflicts WHERE outcome = 'waiting'")]
    run = flow(at, **how)
    settle(run.deployment, run.ring, run.run_id, dict.fromkeys(ids, choice), log=run.log.append)
    assert waiting(at) == []
    verdicts = flow(at, **how).prove()
    assert not [name for name, found in verdicts.items() if not found.passed and found.fatal]


def in_conflict(at):
    one = first(at)
    at.sql("UPDATE public.credentials SET description = 'theirs', password = %s WHERE id = %s", sealed("p"), one)
    in_source(at, "UPDATE credentials SET description = 'ours', password = ? WHERE id = ?", legacy(at, "q"), one)
    passed(at)
    assert len(waiting(at)) == 2
    return one


@pytest.mark.parametrize(("choice", "stands"), [("source", ("ours", "q")), ("target", ("theirs", "p"))])
def test_what_a_person_chose_stands_and_stays(at, choice, stands):
    one = in_conflict(at)
    settled(at, choice)
    assert (row(at, one)["description"], row(at, one)["password"]) == stands
    before = at.state()
    in_source(at, "UPDATE credentials SET username = username || ' x' WHERE id <> ?", one)
    passed(at)
    assert [line for line in at.state() if one in line[2]] == [line for line in before if one in line[2]]
    assert {(policy, outcome) for _, _, policy, outcome in outcomes(at)} == {("person", choice)}


def test_a_password_that_was_recorded_under_a_former_target_key_is_sealed_under_the_new_one(at):
    one = in_conflict(at)
    ids = [found[0] for found in at.sql("SELECT conflict_id FROM credstore_sync.conflicts")]
    run = flow(at, target_key="a new target key", further_keys=("a made-up target key",))
    settle(run.deployment, run.ring, run.run_id, dict.fromkeys(ids, "source"), log=run.log.append)
    stored = at.sql("SELECT password FROM public.credentials WHERE id = %s", one)[0][0]
    assert opened(stored, "a new target key") == "q"


def test_a_decision_on_something_that_moved_since_is_refused_and_nothing_is_settled(at):
    one = in_conflict(at)
    at.sql("UPDATE public.credentials SET description = 'again' WHERE id = %s", one)
    before = (at.state(), at.state("credstore_sync"))
    with pytest.raises(CredstoreError, match="was changed in the target since it was recorded"):
        settled(at, "source")
    assert (at.state(), at.state("credstore_sync")) == before
    passed(at)
    settled(at, "source")
    assert row(at, one)["description"] == "ours"


def test_an_id_that_names_no_waiting_conflict_is_refused(at):
    run = flow(at)
    with pytest.raises(CredstoreError, match=r"1 of the ids name no conflict that waits \(7\)"):
        settle(run.deployment, run.ring, run.run_id, {7: "source"}, log=run.log.append)


@pytest.mark.parametrize("choice", ["source", "target"])
def test_a_person_decides_about_a_row_that_the_source_deleted(at, choice):
    one = first(at)
    at.sql("UPDATE public.credentials SET description = 'still needed' WHERE id = %s", one)
    before = content(at)
    in_source(at, "DELETE FROM credential_tags WHERE credential_id = ?", one)
    in_source(at, "DELETE FROM credentials WHERE id = ?", one)
    passed(at)
    settled(at, choice)
    after = {key: found for key, found in before.items() if one not in (found["id"], found.get("credential_id"))}
    assert content(at) == (before if choice == "target" else after)
    left = content(at)
    in_source(at, "UPDATE credentials SET success_count = success_count")
    passed(at)
    assert content(at) == left


@pytest.mark.parametrize("choice", ["source", "target"])
def test_a_person_decides_about_a_row_that_the_target_deleted(at, choice):
    one = first(at)
    before = content(at)
    at.sql("DELETE FROM public.credentials WHERE id = %s", one)
    left = content(at)
    in_source(at, "UPDATE credentials SET description = 'needed' WHERE id = ?", one)
    passed(at)
    settled(at, choice)
    passed(at)
    back = {**before, f"credentials {one}": {**before[f"credentials {one}"], "description": "needed"}}
    assert content(at) == (back if choice == "source" else left)


def test_quarantined_rows_are_replayed_with_a_key_that_was_found_and_without_the_source(at):
    one, other = (found[0] for found in at.sql("SELECT id FROM public.credentials ORDER BY id LIMIT 2"))
    in_source(at, "UPDATE credentials SET password = ? WHERE id = ?", token("found", "a key found later"), one)
    in_source(at, "UPDATE credentials SET password = ? WHERE id = ?", token("x", "a key lost for good"), other)
    in_source(
        at,
        "INSERT INTO credentials (id, name, username, password, created_at, updated_at) "
        "VALUES ('new', 'n', 'u', ?, '2025-01-01 00:00:00', '2025-01-01 00:00:00')",
        token("brand new", "a key found later"),
    )
    tag = at.store.expected["tags"][0]["id"]
    in_source(
        at,
        "INSERT INTO credential_tags (id, credential_id, tag_id, priority) VALUES ('new-link', 'new', ?, 3)",
        tag,
    )
    passed(at)
    before = content(at)
    at.store.path.rename(at.store.path.with_suffix(".away"))
    run = flow(at, further_keys=("a key found later",))
    replayed = replay(run.deployment, run.ring, run.run_id, log=run.log.append)
    assert (replayed.taken_up, replayed.resolved) == (4, 3)
    assert row(at, one)["password"] == "found"
    assert row(at, "new")["password"] == "brand new"
    assert row(at, "new-link", "credential_tags")["priority"] == 3
    assert at.quarantined()["credentials"] == {other: "undecryptable_secret"}
    assert {key: found for key, found in content(at).items() if "new" not in key and one not in key} == {
        key: found for key, found in before.items() if one not in key
    }
    assert not flow(at, further_keys=("a key found later",)).red()


def test_a_row_that_a_resync_loaded_while_it_was_replayed_keeps_its_newer_values(at):
    """The replay had read the older row, waited for the re-sync, and put a stale password over the newer one."""
    one = first(at)
    stale = token("stale", "a key found later")
    in_source(at, "UPDATE credentials SET password = ?, success_count = 7 WHERE id = ?", stale, one)
    passed(at)
    assert at.quarantined()["credentials"] == {one: "undecryptable_secret"}
    newer = (legacy(at, "newer"), one)
    in_source(at, "UPDATE credentials SET password = ?, success_count = 10 WHERE id = ?", *newer)
    run = flow(at, further_keys=("a key found later",))

    def meanwhile(line):
        run.log.append(line)
        if "are tried again" in line:
            passed(at)

    with pytest.raises(Superseded, match=r"loaded a snapshot since the rows were read.*is unchanged.*Launch it again"):
        replay(run.deployment, run.ring, run.run_id, log=meanwhile)
    assert (row(at, one)["password"], row(at, one)["success_count"]) == ("newer", 10)
    assert at.quarantined()["credentials"] == {}
    again = flow(at, further_keys=("a key found later",))
    assert replay(again.deployment, again.ring, again.run_id, log=again.log.append).loaded is None


def test_rows_with_bytes_that_are_no_text_are_tried_again_and_stay_as_they_are(at):
    one = first(at)
    in_source(at, "UPDATE credentials SET name = CAST(x'41ff42' AS TEXT) WHERE id = ?", one)
    in_source(at, "UPDATE credentials SET description = CAST(x'fffe' AS TEXT) WHERE id != ?", one)
    passed(at)
    held = at.quarantined()
    assert held["credentials"][one] == "invalid_text"
    run = flow(at)
    replayed = replay(run.deployment, run.ring, run.run_id, log=run.log.append)
    assert (replayed.taken_up, replayed.resolved) == (sum(map(len, held.values())), 0)
    assert at.quarantined() == held


def test_the_jobs_do_it(at):
    one = in_conflict(at)
    ids = [str(found[0]) for found in at.sql("SELECT conflict_id FROM credstore_sync.conflicts ORDER BY column_name")]
    config = {"ops": {"resolve": {"config": {"decisions": {ids[0]: "source", ids[1]: "target"}}}}}
    run = launched(at, "resolve_conflicts", config)
    assert run.success, run.failure
    assert (row(at, one)["description"], row(at, one)["password"]) == ("ours", "p")
    assert not launched(at, "resolve_conflicts", config).success
    assert launched(at, "replay_quarantine").success


def test_decisions_executed_again_with_other_decisions_settle_those(at):
    """They found the first run's record, said that theirs were settled, and settled none."""
    one = in_conflict(at)
    ids = [str(found[0]) for found in at.sql("SELECT conflict_id FROM credstore_sync.conflicts ORDER BY column_name")]
    first_half, second_half = ({"ops": {"resolve": {"config": {"decisions": {each: "source"}}}}} for each in ids)
    run = launched(at, "resolve_conflicts", first_half)
    assert run.success, run.failure
    assert (row(at, one)["description"], row(at, one)["password"]) == ("ours", "p")
    again = at.again(run, "resolve_conflicts", config=second_half, CREDSTORE_TARGET_KEY="a made-up target key")
    assert again.success, again.failure
    assert (row(at, one)["description"], row(at, one)["password"]) == ("ours", "q")
    assert waiting(at) == []


def test_a_replay_executed_again_takes_up_what_is_good_by_then(at):
    """It found the first replay's record, told its counts, and took up nothing."""
    one, other = (found[0] for found in at.sql("SELECT id FROM public.credentials ORDER BY id LIMIT 2"))
    for row_id, key in ((one, "found first"), (other, "found later")):
        in_source(at, "UPDATE credentials SET password = ? WHERE id = ?", token("found", key), row_id)
    passed(at)
    known = json.loads(at.store.environment().get("CREDSTORE_SOURCE_KEYS", "[]"))
    run = at.run("replay_quarantine", CREDSTORE_SOURCE_KEYS=json.dumps([*known, "found first"]))
    assert run.success, run.failure
    assert at.quarantined()["credentials"] == {other: "undecryptable_secret"}
    both = json.dumps([*known, "found first", "found later"])
    again = at.again(run, "replay_quarantine", CREDSTORE_SOURCE_KEYS=both)
    assert again.success, again.failure
    assert at.quarantined()["credentials"] == {}
    assert row(at, other)["password"] == "found"


def launched(at, job, config=None):
    return at.run(job, config=config or {}, CREDSTORE_TARGET_KEY="a made-up target key")


def test_no_recorded_conflict_shows_a_value(at):
    """Both sides' passwords, a deleted row's and a quarantined change's stand sealed in credstore_sync, if at all."""
    first_one, second = (found[0] for found in at.sql("SELECT id FROM public.credentials ORDER BY id LIMIT 2"))
    canaries = [f"canary-{side}-xq7" for side in ("source", "target", "description", "deleted")]
    at.sql(
        "UPDATE public.credentials SET password = %s, description = %s WHERE id = %s",
        sealed(canaries[1]),
        canaries[2],
        first_one,
    )
    at.sql("UPDATE public.credentials SET description = %s WHERE id = %s", canaries[3], second)
    in_source(
        at,
        "UPDATE credentials SET password = ?, description = 'x' WHERE id = ?",
        legacy(at, canaries[0]),
        first_one,
    )
    in_source(at, "DELETE FROM credentials WHERE id = ?", second)
    run = flow(at, conflicts="source")
    run.load()
    assert len(outcomes(at)) == 3
    kept = "\n".join([str(line) for line in at.state("credstore_sync")] + run.log + [str(run.prove())])
    for canary in canaries:
        assert canary not in kept
        assert base64.b64encode(canary.encode()).decode().rstrip("=")[:-1] not in kept
