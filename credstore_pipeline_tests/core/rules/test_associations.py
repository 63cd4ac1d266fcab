import math

import pyarrow as pa
import pytest

from credstore_pipeline.core.rules import validate_associations, validate_credentials, validate_tags
from credstore_pipeline.core.rules.layout import WRITTEN
from credstore_pipeline_tests.core.rules.extracts import (
    ASSOCIATION,
    SNAPSHOT_TIME,
    associations,
    credentials,
    extracted,
    judged,
    refused,
    repaired,
    tags,
    target,
)


def validate(frame, in_credentials=None, in_tags=None, *, at=SNAPSHOT_TIME, missing_tags="quarantine", **known):
    """Validate associations after the credentials and tags that they point to: c1 and t1, unless others are given."""
    view = target(**known)
    in_credentials = in_credentials or credentials({})
    parents = validate_credentials(in_credentials, judged(in_credentials), view, snapshot_time=at)
    tag_verdict = validate_tags(in_tags or tags({}), view, snapshot_time=at)
    return validate_associations(
        frame, parents.frame, in_credentials, tag_verdict, view, missing_tags=missing_tags, snapshot_time=at
    )


def rows(verdict, *columns):
    return list(zip(*(verdict.frame.rows[column].to_pylist() for column in columns), strict=True))


def test_a_sound_association_is_written_as_it_is():
    verdict, placeholders = validate(associations({"priority": 50.5, "success_count": 4}))
    assert verdict.frame.rows.schema == WRITTEN["credential_tags"]
    written = verdict.frame.rows.drop_columns(["created_at", "updated_at"]).to_pylist()
    assert written == [
        {
            "source_rowid": 11,
            "source_id": "a1",
            "id": "a1",
            "credential_id": "c1",
            "tag_id": "t1",
            "priority": 50.5,
            "success_count": 4,
            "failure_count": 0,
            "last_used": None,
            "last_success": None,
            "last_failure": None,
        }
    ]
    assert (refused(verdict.quarantine), repaired(verdict.frame), placeholders.num_rows) == ([], [], 0)
    assert verdict.frame.notes == {"duplicate_pairs": "0"}


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        ({"credential_id": None}, "missing_value", "credential_id: NULL"),
        ({"credential_id": ""}, "missing_value", "credential_id: empty"),
        ({"tag_id": None}, "missing_value", "tag_id: NULL"),
        ({"tag_id": "", "credential_id": None}, "missing_value", "credential_id: NULL; tag_id: empty"),
        ({"credential_id": "c\0"}, "invalid_text", "credential_id: a NUL character"),
        ({"tag_id": b"\xff"}, "invalid_text", "tag_id: bytes that are not UTF-8"),
        ({"priority": "high"}, "invalid_number", "priority: not a number"),
        ({"priority": ""}, "invalid_number", "priority: not a number"),
        ({"priority": b"\x01"}, "invalid_number", "priority: not a number"),
        ({"credential_id": "c9"}, "orphan_credential", "credential_id: no such credential in the source"),
        ({"tag_id": "ghost"}, "unknown_tag", "tag_id: in neither store"),
        ({"tag_id": "g" * 37}, "value_too_long", "tag_id: 37 characters, the column holds 36"),
    ],
)
def test_an_association_is_refused_for(change, reason, detail):
    verdict, _ = validate(associations({}, {"id": "x"} | change))
    assert refused(verdict.quarantine) == [("x", reason, detail)]
    assert verdict.quarantine["row_index"].to_pylist() == [1]
    assert rows(verdict, "id") == [("a1",)]


def test_an_id_that_is_too_long_or_no_text_or_anothers_is_refused():
    verdict, _ = validate(associations({"id": "l" * 37}, {"id": "\0"}, {"id": b"\xff"}, {"id": "x"}, {"id": b"x"}))
    assert refused(verdict.quarantine) == [
        ("l" * 37, "value_too_long", "id: 37 characters, the column holds 36"),
        (None, "invalid_text", "id: a NUL character"),
        (None, "invalid_text", "id: bytes that are not UTF-8"),
        ("x", "duplicate_id", "id: 2 rows have it"),
        ("x", "duplicate_id", "id: 2 rows have it"),
    ]


def test_associations_follow_quarantined_parents_whatever_these_were_refused_for():
    long = "c" * 37
    verdict, _ = validate(
        associations(
            {"credential_id": "c2"}, {"tag_id": "t2"}, {"credential_id": long}, {"credential_id": "c2", "tag_id": "t2"}
        ),
        credentials({}, {"name": None}, {"id": long}),
        tags({}, {"color": "bright-blue"}),
    )
    assert refused(verdict.quarantine) == [
        ("a1", "parent_quarantined", "credential_id: its credential is quarantined"),
        ("a2", "parent_quarantined", "tag_id: its tag is quarantined"),
        ("a3", "parent_quarantined", "credential_id: its credential is quarantined"),
        ("a4", "parent_quarantined", "credential_id: its credential is quarantined; tag_id: its tag is quarantined"),
    ]


def test_associations_of_a_doubled_credential_or_tag_follow_it():
    verdict, _ = validate(
        associations({}, {"credential_id": "c3", "tag_id": "t1"}),
        credentials({}, {"id": "c1"}, {}),
        tags({}, {"id": "t1"}),
    )
    assert [reason for _, reason, _ in refused(verdict.quarantine)] == ["parent_quarantined"] * 2


def test_own_faults_go_before_those_of_others():
    lost = {"credential_id": "c9", "tag_id": "ghost"}
    verdict, _ = validate(
        associations(
            {"id": "x", "tag_id": None} | {"credential_id": "c9"},
            {"id": "x", "priority": "high"} | lost,
            {"id": "\0", "priority": "high"} | lost,
            {"id": "l" * 37, "priority": "high"} | lost,
            {"priority": "high"} | lost,
            {"tag_id": "g" * 37, "credential_id": "c9"},
            lost,
            {"credential_id": "c2", "tag_id": "ghost"},
            {"credential_id": "c2"},
        ),
        credentials({}, {"name": None}),
    )
    assert [reason for _, reason, _ in refused(verdict.quarantine)] == [
        "missing_value",
        "duplicate_id",
        "invalid_text",
        "value_too_long",
        "invalid_number",
        "value_too_long",
        "orphan_credential",
        "unknown_tag",
        "parent_quarantined",
    ]


def test_a_blob_refers_to_the_text_it_holds():
    verdict, _ = validate(associations({"credential_id": b"c1", "tag_id": b"t1"}))
    assert rows(verdict, "credential_id", "tag_id") == [("c1", "t1")]


def test_priorities_are_numbers_or_repaired():
    values = [100.0, 7, -3.5, math.inf, None, "12", b"1e2"]
    verdict, _ = validate(associations(*({"priority": value} for value in values)))
    assert verdict.frame.rows["priority"].to_pylist() == [100.0, 7.0, -3.5, math.inf, 0.0, 12.0, 100.0]
    assert repaired(verdict.frame) == [
        ("a5", "priority", "priority_null_to_zero", "0.0"),
        ("a6", "priority", "priority_from_text", "12.0"),
        ("a7", "priority", "priority_from_text", "100.0"),
    ]


def test_statistics_are_repaired_and_never_refused():
    verdict, _ = validate(associations({"success_count": "few", "last_used": "never", "created_at": None}))
    assert sorted(repaired(verdict.frame)) == [
        ("a1", "created_at", "timestamp_from_other", "2025-03-25 10:00:00.000000"),
        ("a1", "last_used", "timestamp_unusable_to_null", None),
        ("a1", "success_count", "counter_unusable_to_zero", "0"),
    ]


def test_a_table_that_does_not_exist_gives_no_rows():
    verdict, placeholders = validate(extracted(), missing_tags="placeholder")
    assert verdict.frame.rows.schema == WRITTEN["credential_tags"]
    assert (verdict.frame.rows.num_rows, verdict.quarantine.num_rows, repaired(verdict.frame)) == (0, 0, [])
    assert placeholders.schema == WRITTEN["tags"] and verdict.frame.notes == {"duplicate_pairs": "0"}


def test_without_any_credential_every_association_is_an_orphan():
    verdict, _ = validate(associations({}), in_credentials=extracted())
    assert [reason for _, reason, _ in refused(verdict.quarantine)] == ["orphan_credential"]


def test_every_column_but_the_pair_may_be_absent():
    verdict, _ = validate(associations({}, without=tuple(ASSOCIATION.keys() - {"credential_id", "tag_id"})))
    assert verdict.frame.rows["priority"].to_pylist() == [0.0]
    assert ("*", "priority", "column_absent_to_zero", "0.0") in repaired(verdict.frame)
    assert verdict.frame.rows["last_used"].type == pa.timestamp("us")
