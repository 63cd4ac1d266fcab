"""Tags, whose names are unique in the target at every moment."""

from credstore_pipeline_tests.pipeline.flow import content
from credstore_pipeline_tests.sync.test_situations import in_source, passed, row, waiting


def names(at):
    return dict(at.sql("SELECT id, name FROM public.tags"))


def test_two_tags_exchange_their_names(at):
    one, other = (tag["id"] for tag in at.store.expected["tags"][1:3])
    before = names(at)
    for tag, name in ((one, "for a moment"), (other, before[one]), (one, before[other])):
        in_source(at, "UPDATE tags SET name = ? WHERE id = ?", name, tag)
    passed(at)
    assert names(at) == {**before, one: before[other], other: before[one]}


def test_a_tag_that_the_application_renamed_keeps_its_name_and_one_of_that_name_is_mapped_to_it(at):
    """Found by the run that ended in a broken unique index: the source's tag was to take the name that was taken."""
    one, other = (tag["id"] for tag in at.store.expected["tags"][1:3])
    links = {key for key, found in content(at).items() if found.get("tag_id") == other}
    at.sql("UPDATE public.tags SET name = 'wanted' WHERE id = %s", one)
    in_source(at, "UPDATE tags SET name = 'wanted' WHERE id = ?", other)
    for _ in range(2):
        passed(at)
        assert names(at)[one] == "wanted"
        assert {key for key, found in content(at).items() if found.get("tag_id") == one} >= links
        assert at.sql("SELECT source_id, target_id FROM credstore_sync.tag_map") == [(other, one)]


def test_a_tag_that_both_sides_renamed_waits(at):
    one = at.store.expected["tags"][1]["id"]
    at.sql("UPDATE public.tags SET name = 'theirs' WHERE id = %s", one)
    in_source(at, "UPDATE tags SET name = 'ours', color = '#123456' WHERE id = ?", one)
    passed(at)
    assert (row(at, one, "tags")["name"], row(at, one, "tags")["color"]) == ("theirs", "#123456")
    assert waiting(at) == [("tags", one, "name", "changed")]


def test_an_unused_tag_that_the_source_deleted_is_deleted(at):
    in_source(
        at,
        "INSERT INTO tags (id, name, created_at, updated_at) "
        "VALUES ('unused', 'unused', '2025-01-01 00:00:00', '2025-01-01 00:00:00')",
    )
    passed(at)
    assert "unused" in names(at)
    in_source(at, "DELETE FROM tags WHERE id = 'unused'")
    passed(at)
    assert "unused" not in names(at)
    assert waiting(at) == []
