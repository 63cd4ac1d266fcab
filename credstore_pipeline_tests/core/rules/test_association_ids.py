import uuid

from credstore_pipeline.core.rules.associations import association_ids, duplicate_pairs, source_ids
from credstore_pipeline.core.rules.pair_ids import NAMESPACE
from credstore_pipeline_tests.core.rules.extracts import (
    LATER,
    SNAPSHOT_TIME,
    associations,
    credentials,
    refused,
    repaired,
    tags,
)
from credstore_pipeline_tests.core.rules.test_associations import rows, validate

COMPOSITE = ("id", "last_used", "last_success", "last_failure", "created_at", "updated_at")


def pair_id(name):
    return str(uuid.uuid5(NAMESPACE, name))


def test_rows_of_the_setup_script_get_ids_from_their_pairs():
    frame = associations({}, {"tag_id": "t2"}, without=COMPOSITE)
    verdict, _ = validate(frame, in_tags=tags({}, {}))
    assert rows(verdict, "id", "source_id") == [(pair_id("1/2/c1/t1"), None), (pair_id("1/2/c1/t2"), None)]
    assert verdict.frame.rows["created_at"].to_pylist() == [SNAPSHOT_TIME] * 2
    assert sorted(repaired(verdict.frame)) == [
        ("*", "created_at", "timestamp_from_snapshot", "2025-06-01 12:00:00.000000"),
        ("*", "id", "association_id_from_pair", None),
        ("*", "last_failure", "column_absent_to_null", None),
        ("*", "last_success", "column_absent_to_null", None),
        ("*", "last_used", "column_absent_to_null", None),
        ("*", "updated_at", "timestamp_from_snapshot", "2025-06-01 12:00:00.000000"),
    ]
    again = {("credential_tags", "*", name): "2025-06-01 12:00:00.000000" for name in ("created_at", "updated_at")}
    later, _ = validate(frame, in_tags=tags({}, {}), at=LATER, repaired=again)
    assert later.frame.rows.equals(verdict.frame.rows)


def test_a_missing_id_is_made_and_listed_row_by_row():
    verdict, _ = validate(associations({"id": None}, {"id": ""}, {}))
    made = [pair_id("1/2/c1/t1"), pair_id("2/2/c1/t1")]
    assert rows(verdict, "id", "source_id") == [(made[0], None), (made[1], None), ("a3", "a3")]
    assert repaired(verdict.frame) == [(row_id, "id", "association_id_from_pair", None) for row_id in made]


def test_a_made_id_that_another_row_has_refuses_both():
    verdict, _ = validate(associations({"id": None}, {"id": pair_id("1/2/c1/t1")}))
    assert [reason for _, reason, _ in refused(verdict.quarantine)] == ["duplicate_id"] * 2
    assert refused(verdict.quarantine)[0][0] is None


def test_an_id_is_made_from_the_sources_tag_also_where_another_stands_for_it():
    verdict, _ = validate(
        associations({}, {"tag_id": "t2"}, without=("id",)), in_tags=tags({"name": "R"}, {"name": "R"})
    )
    assert rows(verdict, "id", "tag_id") == [(pair_id("1/2/c1/t1"), "t1"), (pair_id("1/2/c1/t2"), "t1")]
    assert verdict.frame.notes["duplicate_pairs"] == "1"


def test_rows_without_ids_are_named_by_their_pair_in_quarantine():
    verdict, _ = validate(
        associations(
            {"credential_id": "c9"},
            {"tag_id": None},
            {"credential_id": None},
            {"credential_id": None, "tag_id": None},
            {"credential_id": "c\0"},
            without=("id",),
        )
    )
    assert [source_id for source_id, *_ in refused(verdict.quarantine)] == ["c9/t1", "c1/", None, None, None]


def test_a_row_with_an_empty_id_is_named_by_it_in_quarantine():
    verdict, _ = validate(associations({"id": "", "credential_id": "c9"}, {"id": None, "credential_id": "c9"}))
    assert [source_id for source_id, *_ in refused(verdict.quarantine)] == ["", None]


def test_duplicate_pairs_are_kept_and_counted():
    changes = [{}, {}, {"tag_id": "t2"}, {"credential_id": "c2"}, {}]
    verdict, _ = validate(associations(*changes), credentials({}, {}), tags({}, {}))
    assert rows(verdict, "id") == [("a1",), ("a2",), ("a3",), ("a4",), ("a5",)]
    assert verdict.frame.notes == {"duplicate_pairs": "2"}
    assert duplicate_pairs(verdict.frame.rows) == 2


def test_refused_rows_are_no_duplicate_pairs():
    verdict, _ = validate(associations({"priority": "high", "credential_id": "c2"}, {}, {}, {}), credentials({}, {}))
    assert verdict.frame.notes == {"duplicate_pairs": "2"}


def test_the_ids_that_proofs_look_for_are_those_that_were_written():
    frame = associations({}, {"id": None}, {"id": "", "tag_id": "ghost"}, {"id": "\0"})
    verdict, _ = validate(frame)
    assert association_ids(frame.rows).to_pylist()[:2] == verdict.frame.rows["id"].to_pylist()
    assert association_ids(frame.rows).to_pylist()[2:] == [pair_id("1/2/c1/ghost"), None]
    assert source_ids(frame.rows).to_pylist() == ["a1", None, "", None]
