import pyarrow as pa
import pytest

from credstore_pipeline.core.rules import validate_tags
from credstore_pipeline.core.rules.layout import WRITTEN
from credstore_pipeline_tests.core.rules.extracts import (
    LATER,
    LIMITS,
    SNAPSHOT_TIME,
    extracted,
    refused,
    repaired,
    tags,
    target,
)
from credstore_pipeline_tests.core.rules.test_isoformat import at


def validate(frame, at=SNAPSHOT_TIME, **known):
    return validate_tags(frame, target(**known), snapshot_time=at)


def written(verdict):
    return verdict.frame.rows["id"].to_pylist()


def mapped(verdict):
    tag_map = verdict.frame.tables["tag_map"]
    columns = (tag_map[name].to_pylist() for name in ("source_id", "target_id", "how"))
    return list(zip(*columns, strict=True))


def test_a_sound_tag_is_written_as_it_is():
    verdict = validate(tags({"name": "Routers "}))
    assert verdict.frame.rows.schema == WRITTEN["tags"]
    assert verdict.frame.rows.drop_columns(["created_at", "updated_at"]).to_pylist() == [
        {"source_rowid": 11, "id": "t1", "name": "Routers ", "description": "Network routers", "color": "#FF5733"}
    ]
    assert verdict.frame.rows["created_at"].cast(pa.int64()).to_pylist() == [at(2025, 3, 24, 9, 0, 0, 250_000)]
    assert (mapped(verdict), refused(verdict.quarantine), repaired(verdict.frame)) == ([], [], [])


@pytest.mark.parametrize(
    ("change", "source_id", "reason", "detail"),
    [
        ({"id": None}, None, "missing_value", "id: NULL"),
        ({"id": ""}, "", "missing_value", "id: empty"),
        ({"name": None}, "t1", "missing_value", "name: NULL"),
        ({"name": "nul\0"}, "t1", "invalid_text", "name: a NUL character"),
        ({"color": "\0"}, "t1", "invalid_text", "color: a NUL character"),
        ({"description": b"\xff"}, "t1", "invalid_text", "description: bytes that are not UTF-8"),
        ({"id": "i" * 37}, "i" * 37, "value_too_long", "id: 37 characters, the column holds 36"),
        ({"name": "t" * 51}, "t1", "value_too_long", "name: 51 characters, the column holds 50"),
        ({"color": "bright-blue"}, "t1", "value_too_long", "color: 11 characters, the column holds 7"),
        ({"color": "#FF5733 "}, "t1", "value_too_long", "color: 8 characters, the column holds 7"),
    ],
)
def test_a_tag_is_refused_for(change, source_id, reason, detail):
    verdict = validate(tags({"id": "before"}, {"id": "t1"} | change))
    assert refused(verdict.quarantine) == [(source_id, reason, detail)]
    assert verdict.quarantine["row_index"].to_pylist() == [1]
    assert (written(verdict), mapped(verdict)) == (["before"], [])


def test_the_initial_migrations_narrow_description_counts():
    verdict = validate(tags({"description": "d" * 256}), limits=LIMITS | {("tags", "description"): 255})
    assert refused(verdict.quarantine) == [
        ("t1", "value_too_long", "description: 256 characters, the column holds 255")
    ]


def test_all_tags_of_one_id_are_refused():
    verdict = validate(tags({"id": "x"}, {"id": "x"}, {}))
    assert refused(verdict.quarantine) == [("x", "duplicate_id", "id: 2 rows have it")] * 2
    assert written(verdict) == ["t3"]


def test_a_tag_of_the_applications_with_the_same_id_stays_and_differences_are_told():
    theirs = [{"id": "t1", "name": "tag 1", "color": "#FF5733"}, {"id": "t2", "name": "else", "color": None}]
    verdict = validate(tags({}, {}), tags=theirs)
    assert mapped(verdict) == [("t1", "t1", "same_id_in_target"), ("t2", "t2", "same_id_in_target")]
    assert verdict.frame.tables["differing"].to_pylist() == [{"tag_id": "t2", "columns": "name,color"}]
    assert verdict.frame.notes["tags_that_differ"] == "1"
    assert (written(verdict), repaired(verdict.frame)) == ([], [])


def test_a_tag_of_the_same_name_in_the_target_stands_for_ours():
    verdict = validate(tags({"name": "Routers"}, {"name": "routers"}), tags=[{"id": "theirs", "name": "Routers"}])
    assert mapped(verdict) == [("t1", "theirs", "same_name_in_target")]
    assert written(verdict) == ["t2"]


def test_names_compare_by_case_and_blanks():
    names = ("Routers", "routers", "Routers ", " Routers", "ROUTERS")
    assert written(validate(tags(*({"name": name} for name in names)))) == ["t1", "t2", "t3", "t4", "t5"]


def test_the_first_tag_of_a_name_in_the_file_stands_for_the_others():
    verdict = validate(tags({"name": "R"}, {}, {"name": "R"}, {"name": "R"}))
    assert written(verdict) == ["t1", "t2"]
    assert mapped(verdict) == [("t3", "t1", "same_name_in_file"), ("t4", "t1", "same_name_in_file")]
    assert verdict.frame.tables["tag_map"]["source_rowid"].to_pylist() == [13, 14]


def test_the_file_follows_an_earlier_tag_of_the_name_to_where_that_was_mapped():
    theirs = [{"id": "t1", "name": "other"}]
    verdict = validate(tags({"name": "R"}, {"name": "R"}), tags=theirs)
    assert mapped(verdict) == [("t1", "t1", "same_id_in_target"), ("t2", "t1", "same_name_in_file")]


def test_what_was_mapped_once_stays_mapped_whatever_the_names_are_now():
    theirs = [{"id": "old", "name": "renamed since"}, {"id": "new", "name": "Routers"}]
    verdict = validate(tags({"name": "Routers"}), tags=theirs, tag_map={"t1": "old"})
    assert mapped(verdict) == [("t1", "old", "remembered")]


def test_a_mapping_to_a_tag_that_is_gone_is_forgotten():
    verdict = validate(tags({}), tags=[{"id": "theirs", "name": "tag 1"}], tag_map={"t1": "gone"})
    assert mapped(verdict) == [("t1", "theirs", "same_name_in_target")]
    assert written(validate(tags({}), tag_map={"t1": "gone"})) == ["t1"]


def test_a_remembered_mapping_goes_before_the_same_id():
    theirs = [{"id": "t1", "name": "tag 1"}, {"id": "old", "name": "x"}]
    assert mapped(validate(tags({}), tags=theirs, tag_map={"t1": "old"})) == [("t1", "old", "remembered")]


def test_a_tag_that_this_pipeline_wrote_is_its_own_again():
    ours = [{"id": "t1", "name": "tag 1", "color": "#000000"}]
    verdict = validate(tags({"name": "renamed"}), tags=ours, own_tags=frozenset({"t1"}))
    assert (written(verdict), mapped(verdict)) == (["t1"], [])
    assert verdict.frame.notes["tags_that_differ"] == "0"


def test_a_tag_that_was_mapped_to_itself_is_written_once_it_is_ours():
    theirs = [{"id": "t1", "name": "tag 1", "color": "#000000"}]
    known = {"tags": theirs, "tag_map": {"t1": "t1"}}
    assert mapped(validate(tags({"name": "renamed"}), **known)) == [("t1", "t1", "remembered")]
    verdict = validate(tags({"name": "renamed"}), **known, own_tags=frozenset({"t1"}))
    assert (written(verdict), mapped(verdict)) == (["t1"], [])


def test_a_new_tag_does_not_map_to_one_of_ours_that_is_losing_the_name():
    verdict = validate(tags({"name": "y"}, {"name": "x"}), tags=[{"id": "t1", "name": "x"}], own_tags=frozenset({"t1"}))
    assert (written(verdict), mapped(verdict)) == (["t1", "t2"], [])


def test_a_new_tag_maps_to_one_of_ours_of_the_name_even_when_it_comes_first_in_the_file():
    verdict = validate(
        tags({"id": "new", "name": "R"}, {"id": "t1", "name": "R"}),
        tags=[{"id": "t1", "name": "R"}],
        own_tags=frozenset({"t1"}),
    )
    assert (written(verdict), mapped(verdict)) == (["t1"], [("new", "t1", "same_name_in_file")])


def test_one_of_ours_that_took_a_name_of_the_applications_is_mapped_to_that():
    verdict = validate(
        tags({"name": "Routers"}),
        tags=[{"id": "t1", "name": "tag 1"}, {"id": "theirs", "name": "Routers"}],
        own_tags=frozenset({"t1"}),
    )
    assert mapped(verdict) == [("t1", "theirs", "same_name_in_target")]


def test_the_name_that_such_a_one_keeps_in_the_target_is_not_given_away():
    verdict = validate(
        tags({"name": "Routers"}, {"id": "t2", "name": "tag 1"}, {"id": "t3", "name": "tag 2"}),
        tags=[{"id": "t1", "name": "tag 1"}, {"id": "theirs", "name": "Routers"}, {"id": "t2", "name": "tag 2"}],
        own_tags=frozenset({"t1", "t2"}),
    )
    assert mapped(verdict) == [
        ("t1", "theirs", "same_name_in_target"),
        ("t2", "t1", "same_name_in_target"),
        ("t3", "t2", "same_name_in_target"),
    ]
    assert written(verdict) == []


def test_two_of_ours_that_now_have_one_name_become_one_and_the_other_keeps_its_old_name():
    verdict = validate(
        tags({"name": "A"}, {"name": "A"}, {"name": "B"}),
        tags=[{"id": "t1", "name": "A"}, {"id": "t2", "name": "B"}],
        own_tags=frozenset({"t1", "t2"}),
    )
    assert written(verdict) == ["t1"]
    assert mapped(verdict) == [("t2", "t1", "same_name_in_file"), ("t3", "t2", "same_name_in_target")]


@pytest.mark.parametrize(
    "fault", [{"id": "i" * 37}, {"color": "bright-blue"}, {"description": "\0"}, {"color": b"\xff"}]
)
def test_a_tag_that_cannot_be_written_is_saved_by_another_of_its_name(fault):
    broken = {"id": "t9", "name": "R"} | fault
    in_target = validate(tags(broken), tags=[{"id": "theirs", "name": "R"}])
    assert mapped(in_target) == [(broken["id"], "theirs", "same_name_in_target")]
    for changes in (({"id": "t1", "name": "R"}, broken), (broken, {"id": "t1", "name": "R"})):
        in_file = validate(tags(*changes))
        assert mapped(in_file) == [(broken["id"], "t1", "same_name_in_file")]
        assert (written(in_file), refused(in_file.quarantine)) == (["t1"], [])


def test_a_tag_of_ours_that_can_no_longer_be_written_is_refused_and_keeps_its_name_in_the_target():
    known = {"tags": [{"id": "t1", "name": "R"}], "own_tags": frozenset({"t1"})}
    verdict = validate(tags({"name": "R", "color": "bright-blue"}, {"name": "R"}), **known)
    assert refused(verdict.quarantine) == [("t1", "value_too_long", "color: 11 characters, the column holds 7")]
    assert (written(verdict), mapped(verdict)) == ([], [("t2", "t1", "same_name_in_target")])


def test_the_stamps_of_written_tags_are_repaired_and_listed():
    verdict = validate(tags({"created_at": None, "updated_at": "soon"}, {"updated_at": 1_742_515_200}))
    assert sorted(repaired(verdict.frame)) == [
        ("t1", "created_at", "timestamp_from_snapshot", "2025-06-01 12:00:00.000000"),
        ("t1", "updated_at", "timestamp_from_snapshot", "2025-06-01 12:00:00.000000"),
        ("t2", "updated_at", "timestamp_epoch_seconds", "2025-03-21 00:00:00.000000"),
    ]
    again = {
        ("tags", "t1", "created_at"): "2025-06-01 12:00:00.000000",
        ("tags", "t1", "updated_at"): "2025-06-01 12:00:00.000000",
    }
    later = validate(tags({"created_at": None, "updated_at": "soon"}), at=LATER, repaired=again)
    assert later.frame.rows["created_at"].to_pylist() == [SNAPSHOT_TIME]


def test_a_file_without_tags_gives_an_empty_verdict():
    verdict = validate(extracted(), tags=[{"id": "t1", "name": "R"}])
    assert verdict.frame.rows.schema == WRITTEN["tags"]
    assert (written(verdict), mapped(verdict), refused(verdict.quarantine), repaired(verdict.frame)) == ([], [], [], [])
