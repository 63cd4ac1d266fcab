from credstore_pipeline.core.reasons import Reason
from credstore_pipeline.core.rules import refollow, validate_credentials, withdraw
from credstore_pipeline_tests.core.rules.extracts import (
    SNAPSHOT_TIME,
    associations,
    credentials,
    judged,
    refused,
    repaired,
    tags,
    target,
)
from credstore_pipeline_tests.core.rules.test_association_ids import pair_id
from credstore_pipeline_tests.core.rules.test_associations import rows, validate

DIFFERS = (Reason.TARGET_DIFFERS, "name, password: another in the target")


def test_a_withdrawn_credential_stands_in_quarantine_in_its_place_and_without_repairs():
    frame = credentials({"success_count": None}, {"name": None}, {"success_count": None}, {})
    verdict = validate_credentials(frame, judged(frame), target(), snapshot_time=SNAPSHOT_TIME)
    after = withdraw("credentials", verdict, frame, {"c1", "elsewhere"}, *DIFFERS)
    assert refused(after.quarantine) == [
        ("c1", "target_differs", "name, password: another in the target"),
        ("c2", "missing_value", "name: NULL"),
    ]
    assert after.quarantine["row_index"].to_pylist() == [0, 1]
    assert after.quarantine["source_rowid"].to_pylist() == [11, 12]
    assert rows(after, "id") == [("c3",), ("c4",)]
    assert repaired(after.frame) == [("c3", "success_count", "counter_null_to_zero", "0")]
    assert after.quarantine.schema == verdict.quarantine.schema
    assert after.frame.rows.schema == verdict.frame.rows.schema


def test_withdrawing_nothing_changes_nothing():
    frame = credentials({})
    verdict = validate_credentials(frame, judged(frame), target(), snapshot_time=SNAPSHOT_TIME)
    after = withdraw("credentials", verdict, frame, [], *DIFFERS)
    assert after.frame.rows.equals(verdict.frame.rows) and after.quarantine.num_rows == 0


def test_associations_follow_a_credential_that_is_withdrawn_later():
    frame = associations(
        {}, {"credential_id": "c2"}, {"credential_id": "c2"}, {"credential_id": "c2", "priority": "high"}
    )
    verdict, placeholders = validate(frame, credentials({}, {}))
    after, _ = refollow(verdict, placeholders, frame, ["c2"])
    assert refused(after.quarantine) == [
        ("a2", "parent_quarantined", "credential_id: its credential is quarantined"),
        ("a3", "parent_quarantined", "credential_id: its credential is quarantined"),
        ("a4", "invalid_number", "priority: not a number"),
    ]
    assert rows(after, "id") == [("a1",)]
    assert (verdict.frame.notes["duplicate_pairs"], after.frame.notes["duplicate_pairs"]) == ("1", "0")


def test_followers_without_ids_are_named_by_the_sources_pair():
    frame = associations({"tag_id": "t2"}, without=("id",))
    verdict, placeholders = validate(frame, in_tags=tags({"name": "R"}, {"name": "R"}))
    assert rows(verdict, "id", "tag_id") == [(pair_id("1/2/c1/t2"), "t1")]
    after, _ = refollow(verdict, placeholders, frame, ["c1"])
    assert [source_id for source_id, *_ in refused(after.quarantine)] == ["c1/t2"]


def test_a_placeholder_that_nothing_refers_to_any_more_is_not_written():
    frame = associations({"tag_id": "ghost"}, {"tag_id": "spirit", "credential_id": "c2"})
    verdict, placeholders = validate(frame, credentials({}, {}), missing_tags="placeholder")
    after, left = refollow(verdict, placeholders, frame, ["c2"])
    assert left["id"].to_pylist() == ["ghost"]
    assert {row_id for row_id, *_ in repaired(after.frame)} == {"ghost"}
