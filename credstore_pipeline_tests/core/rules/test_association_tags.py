import pytest

from credstore_pipeline.core.rules import validate_tags
from credstore_pipeline.core.rules.layout import WRITTEN
from credstore_pipeline.core.rules.references import TagTargets, find_tags
from credstore_pipeline_tests.core.rules.extracts import (
    LATER,
    SNAPSHOT_TIME,
    associations,
    extracted,
    refused,
    repaired,
    tags,
    target,
)
from credstore_pipeline_tests.core.rules.test_associations import rows, validate

NO_TAGS = extracted()


def test_associations_follow_their_tag_to_the_one_that_stands_for_it():
    known = {
        "tags": [{"id": "theirs", "name": "tag 1"}, {"id": "t2", "name": "x"}, {"id": "m", "name": "y"}],
        "tag_map": {"t3": "m"},
    }
    verdict, _ = validate(
        associations(*({"tag_id": f"t{n}"} for n in (1, 2, 3, 4))), in_tags=tags({}, {}, {}, {}), **known
    )
    assert rows(verdict, "tag_id") == [("theirs",), ("t2",), ("m",), ("t4",)]


def test_without_tags_in_the_file_the_targets_are_meant():
    frame = associations({"tag_id": "tag-default"}, {"tag_id": "old"}, {"tag_id": "gone"}, {"tag_id": "ghost"})
    known = {
        "tags": [{"id": "tag-default", "name": "Default"}, {"id": "new", "name": "x"}],
        "tag_map": {"old": "new", "gone": "lost"},
    }
    verdict, placeholders = validate(frame, in_tags=NO_TAGS, **known)
    assert rows(verdict, "id", "tag_id") == [("a1", "tag-default"), ("a2", "new")]
    assert refused(verdict.quarantine) == [
        ("a3", "unknown_tag", "tag_id: in neither store"),
        ("a4", "unknown_tag", "tag_id: in neither store"),
    ]
    assert placeholders.num_rows == 0


def test_a_placeholder_is_made_once_for_each_tag_that_is_in_neither_store():
    frame = associations(
        {"tag_id": "ghost"}, {"tag_id": "ghost"}, {"tag_id": "spirit"}, {"tag_id": "unused", "credential_id": "c9"}
    )
    verdict, placeholders = validate(frame, missing_tags="placeholder")
    assert rows(verdict, "tag_id") == [("ghost",), ("ghost",), ("spirit",)]
    assert placeholders.schema == WRITTEN["tags"]
    assert placeholders.to_pylist() == [
        {
            "source_rowid": None,
            "id": tag_id,
            "name": f"placeholder {tag_id}",
            "description": None,
            "color": None,
            "created_at": SNAPSHOT_TIME,
            "updated_at": SNAPSHOT_TIME,
        }
        for tag_id in ("ghost", "spirit")
    ]
    listed = verdict.frame.tables["repairs"].to_pylist()
    assert {row["source_table"] for row in listed} == {"tags"}
    assert [row for row in repaired(verdict.frame) if row[0] == "ghost"] == [
        ("ghost", "name", "tag_placeholder", None),
        ("ghost", "created_at", "timestamp_from_snapshot", "2025-06-01 12:00:00.000000"),
        ("ghost", "updated_at", "timestamp_from_snapshot", "2025-06-01 12:00:00.000000"),
    ]


@pytest.mark.parametrize("name", ["placeholder ghost", "named by an operator since"])
def test_a_later_run_makes_the_same_placeholder_again(name):
    frame = associations({"tag_id": "ghost"})
    first, made = validate(frame, missing_tags="placeholder")
    listed = first.frame.tables["repairs"].to_pylist()
    again = {(row["source_table"], row["source_id"], row["column_name"]): row["value"] for row in listed}
    later, same = validate(
        frame,
        missing_tags="placeholder",
        at=LATER,
        repaired=again,
        tags=[{"id": "ghost", "name": name}],
        own_tags=frozenset({"ghost"}),
    )
    assert same.equals(made)
    assert later.frame.tables["repairs"].equals(first.frame.tables["repairs"])


def test_a_tag_of_ours_that_left_the_file_is_no_placeholder():
    verdict, placeholders = validate(
        associations({"tag_id": "left"}),
        missing_tags="placeholder",
        tags=[{"id": "left", "name": "Switches"}],
        own_tags=frozenset({"left"}),
        repaired={("tags", "left", "created_at"): "2025-06-01 12:00:00.000000"},
    )
    assert (rows(verdict, "tag_id"), placeholders.num_rows) == ([("left",)], 0)


def test_a_placeholder_whose_id_or_name_cannot_be_had_is_not_made():
    frame = associations({"tag_id": "g" * 37}, {"tag_id": "g" * 36}, {"tag_id": "taken"})
    verdict, placeholders = validate(frame, missing_tags="placeholder", tags=[{"id": "x", "name": "placeholder taken"}])
    assert refused(verdict.quarantine) == [
        ("a1", "value_too_long", "tag_id: 37 characters, the column holds 36"),
        ("a3", "unknown_tag", "tag_id: in neither store"),
    ]
    assert placeholders["id"].to_pylist() == ["g" * 36]


def test_a_quarantined_tag_gets_no_placeholder():
    verdict, placeholders = validate(associations({}), in_tags=tags({"name": None}), missing_tags="placeholder")
    assert refused(verdict.quarantine) == [("a1", "parent_quarantined", "tag_id: its tag is quarantined")]
    assert placeholders.num_rows == 0


def test_a_quarantined_tag_leads_nowhere_unless_it_was_loaded_earlier():
    known = {"tags": [{"id": "t1", "name": "R"}], "tag_map": {"t2": "t1"}}
    view = target(**known, own_tags=frozenset({"t1"}))
    verdict = validate_tags(tags({"color": "bright-blue"}, {"name": None}), view, snapshot_time=SNAPSHOT_TIME)
    found = find_tags(["t1", "t2", "t3"], verdict, view, "placeholder")
    assert found == TagTargets({"t1": "t1", "t3": "t3"}, frozenset({"t1", "t2"}), frozenset({"t3"}))

    view = target(**known | {"tags": []})
    verdict = validate_tags(tags({"color": "bright-blue"}, {"name": None}), view, snapshot_time=SNAPSHOT_TIME)
    found = find_tags(["t1", "t2", "t3"], verdict, view, "placeholder")
    assert found == TagTargets({"t3": "t3"}, frozenset({"t1", "t2"}), frozenset({"t3"}))
