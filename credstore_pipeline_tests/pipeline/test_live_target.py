"""A target that is in use: the application's rows, readers and tables, its changes between two loads, its rights."""

import pytest

from credstore_pipeline.core.frames import TABLES
from credstore_pipeline_tests.core.target.ddl import F7B7109, F7B7109_STORE, TAGS_OF_THE_FIRST_MIGRATION, W5FF43A7
from credstore_pipeline_tests.pipeline.flow import (
    already,
    born,
    catalog,
    content,
    flow,
    in_source,
    rows_by_id,
    sealed,
    session,
    source,
)

VERSIONS = {
    "f7b7109": F7B7109,
    "5ff43a7": W5FF43A7,
    "first migration": TAGS_OF_THE_FIRST_MIGRATION + F7B7109_STORE,
}
SAME_ID, OTHER_MEANING = 0, 1


@pytest.fixture(params=["f7b7109", "5ff43a7"])
def version(request):
    """The tables of both versions of the application: without and with a foreign key to tags."""
    return VERSIONS[request.param]


@pytest.fixture
def loaded(version, request, administrator, database, tmp_path):
    """A lab after the first load into the application's tables."""

    def load(at):
        born(at, version)
        flow(at).load()

    name = f"live_{request.node.callspec.params['version']}"
    return already(name, "web", load, administrator, database, tmp_path)


@pytest.fixture(params=VERSIONS)
def inhabited(lab, request):
    """A target in which the application has rows of its own, some under ids that the source has too."""
    at = lab("web")
    born(at, VERSIONS[request.param])
    at.sql(
        "INSERT INTO public.tags (id, name, color, created_at, updated_at) VALUES "
        "('their-routers', 'Routers', '#000000', now(), now()), ('their-own', 'Only theirs', NULL, now(), now()), "
        "('tag-default', 'Renamed by them', '#FFFFFF', now(), now())"
    )
    same, other = at.store.expected["credentials"][SAME_ID], at.store.expected["credentials"][OTHER_MEANING]
    insert = (
        "INSERT INTO public.credentials (id, name, description, username, password, use_keys, success_count, "
        "failure_count, created_at, updated_at) VALUES (%s, %s, %s, %s, %s, %s, 100, 10, now(), now())"
    )
    key = at.store.env["encryption_key"]
    # The same meaning in other bytes: sealed anew by the application, and NULL where its reader takes it for false.
    at.sql(insert, same["id"], same["name"], same["description"], same["username"], sealed(same["password"], key), None)
    at.sql(insert, other["id"], other["name"], other["description"], other["username"], sealed("another"), False)
    at.sql(insert, "their-own", "of the application", None, "them", sealed("theirs"), False)
    at.sql(
        "INSERT INTO public.credential_tags (id, credential_id, tag_id, priority, success_count, failure_count) "
        "VALUES ('their-link', 'their-own', 'their-routers', 7, 1, 1)"
    )
    return at


def test_the_applications_rows_stay_as_they_are_to_the_byte_and_the_source_fits_in_beside_them(inhabited):
    at = inhabited
    before = {table: rows_by_id(at, table) for table in TABLES}
    shape = catalog(at)
    run = flow(at)
    loaded = run.load()
    after = {table: rows_by_id(at, table) for table in TABLES}
    for table in TABLES:
        assert before[table].items() <= after[table].items()
    assert catalog(at) == shape

    expected = at.store.expected
    same, other = expected["credentials"][SAME_ID]["id"], expected["credentials"][OTHER_MEANING]["id"]
    assert {what: count for what, count in loaded.counts["credentials"].items() if count} == {
        "inserted": 10,
        "adopted": 1,
    }
    assert at.sql("SELECT row_id FROM credstore_sync.row_state WHERE adopted") == [(same,)]
    assert at.quarantined()["credentials"] == {other: "target_differs"}
    followers = {link["id"] for link in expected["associations"] if link["credential_id"] == other}
    assert at.quarantined()["credential_tags"] == dict.fromkeys(followers, "parent_quarantined")

    routers = next(tag["id"] for tag in expected["tags"] if tag["name"] == "Routers")
    mapped = dict(at.sql("SELECT source_id, target_id FROM credstore_sync.tag_map"))
    assert mapped == {routers: "their-routers", "tag-default": "tag-default"}
    links = {link["id"]: link["tag_id"] for link in expected["associations"] if link["id"] not in followers}
    found = dict(at.sql("SELECT id, tag_id FROM public.credential_tags WHERE id <> 'their-link'"))
    assert found == {row_id: mapped.get(tag, tag) for row_id, tag in links.items()}
    verdicts = run.prove()
    assert not run.red()
    assert not verdicts["rows_not_ours"].passed
    assert verdicts["rows_not_ours"].numbers == {"tags": 3, "credentials": 2, "credential_tags": 1}

    again = flow(at)
    counts = again.load().counts
    assert all(not counts[table][what] for table in TABLES for what in ("inserted", "updated", "adopted", "kept"))
    assert {table: rows_by_id(at, table) for table in TABLES} == after
    assert not again.red()


def test_an_idle_reader_is_neither_waited_for_nor_kept_waiting(lab, version):
    at = lab("web")
    born(at, version)
    with session(at.database) as reader:
        for table in TABLES:
            assert reader.exec_driver_sql(f"SELECT count(*) FROM public.{table}").scalar_one() == 0
        # Would it wait for the reader, it would wait for ever: the reader waits for it.
        flow(at).load()
        assert reader.exec_driver_sql("SELECT count(*) FROM public.credentials").scalar_one() == 12
    assert content(at) == in_source(at)


def test_a_writer_in_a_transaction_on_other_rows_is_not_waited_for_either(inhabited):
    at = inhabited
    with session(at.database) as writer:
        writer.exec_driver_sql("UPDATE public.credentials SET success_count = 101 WHERE id = 'their-own'")
        writer.exec_driver_sql("UPDATE public.tags SET color = '#123456' WHERE id = 'their-own'")
        flow(at).load()
    assert at.sql("SELECT success_count FROM public.credentials WHERE id = 'their-own'") == [(101,)]


# Between two loads


def test_columns_changed_in_the_target_since_are_not_overwritten_while_others_are_updated(loaded):
    at = loaded
    logged_in, renamed, untouched, *_ = (row["id"] for row in at.store.expected["credentials"])
    link, moved, *_ = (row["id"] for row in at.store.expected["associations"])
    at.sql("UPDATE public.credentials SET success_count = success_count + 1 WHERE id = %s", logged_in)
    at.sql("UPDATE public.credentials SET password = %s WHERE id = %s", sealed("changed by them"), renamed)
    at.sql("UPDATE public.credential_tags SET priority = 77 WHERE id = %s", link)
    theirs = {table: rows_by_id(at, table) for table in TABLES}
    before = content(at)
    with source(at) as store:
        store.execute("UPDATE credentials SET username = 'from the source'")
        store.execute("UPDATE credential_tags SET priority = 33")
    run = flow(at)
    counts = run.load().counts
    assert (counts["credentials"]["updated"], counts["credentials"]["kept"]) == (12, 0)
    assert (counts["credential_tags"]["updated"], counts["credential_tags"]["kept"]) == (23, 1)
    now = {table: rows_by_id(at, table) for table in TABLES}
    assert now["tags"] == theirs["tags"]
    assert now["credential_tags"][link] == theirs["credential_tags"][link]
    after = content(at)
    for row_id in (logged_in, renamed, untouched):
        row = f"credentials {row_id}"
        assert after[row] == {**before[row], "username": "from the source"}
    assert dict(at.sql("SELECT id, priority FROM public.credential_tags"))[moved] == 33
    assert not run.red()


def test_rows_deleted_in_the_target_by_the_application_stay_deleted(loaded):
    at = loaded
    deleted, *_ = (row["id"] for row in at.store.expected["credentials"])
    at.sql("DELETE FROM public.credentials WHERE id = %s", deleted)
    left = content(at)
    with source(at) as store:
        store.execute("UPDATE credentials SET username = 'changed' WHERE id = ?", (deleted,))
        store.execute(
            "INSERT INTO credential_tags SELECT 'new-link', credential_id, tag_id, 1.0, 0, 0, NULL, NULL, NULL, "
            "created_at, updated_at FROM credential_tags WHERE credential_id = ? LIMIT 1",
            (deleted,),
        )
    run = flow(at)
    run.load()
    assert content(at) == left
    assert not run.red()


def test_a_tag_deleted_in_the_target_by_the_application_stays_deleted_and_stops_no_later_load(loaded):
    """f7b7109 has no foreign key to tags: what pointed to the tag stays, as the application left it."""
    at = loaded
    tag = at.store.expected["tags"][1]["id"]
    at.sql("DELETE FROM public.tags WHERE id = %s", tag)
    left = content(at)
    with source(at) as store:
        store.execute("UPDATE credentials SET username = 'changed' WHERE rowid = 1")
    run = flow(at)
    run.load()
    now = content(at)
    assert now.keys() == left.keys()
    changed = f"credentials {at.store.expected['credentials'][0]['id']}"
    assert now.pop(changed)["username"] == "changed"
    del left[changed]
    assert now == left
    assert not run.red()


def test_a_new_association_with_a_tag_that_the_application_deleted_stays_out(loaded):
    at = loaded
    tag = at.store.expected["tags"][1]["id"]
    at.sql("DELETE FROM public.credential_tags WHERE tag_id = %s", tag)
    at.sql("DELETE FROM public.tags WHERE id = %s", tag)
    left = content(at)
    with source(at) as store:
        store.execute(
            "INSERT INTO credential_tags SELECT 'new-link', credential_id, tag_id, 1.0, 0, 0, NULL, NULL, NULL, "
            "created_at, updated_at FROM credential_tags WHERE tag_id = ? LIMIT 1",
            (tag,),
        )
    run = flow(at)
    run.load()
    assert content(at) == left
    assert not run.red()


def test_associations_that_changed_in_the_source_are_left_alone_if_their_tag_was_deleted_in_the_target(loaded):
    at = loaded
    kept, deleted = (tag["id"] for tag in at.store.expected["tags"][1:3])
    at.sql("DELETE FROM public.tags WHERE id = %s", deleted)
    left = content(at)
    with source(at) as store:
        # f7b7109 still has those of the deleted tag; and some now want to belong to it.
        store.execute("UPDATE credential_tags SET priority = priority + 5 WHERE tag_id = ?", (deleted,))
        store.execute("UPDATE credential_tags SET tag_id = ? WHERE tag_id = ?", (deleted, kept))
    run = flow(at)
    run.load()
    assert content(at) == left
    assert not run.red()


def test_when_the_tag_that_stood_for_the_sources_is_deleted_the_sources_own_takes_its_place(lab, version):
    at = lab("web")
    born(at, version)
    at.sql("INSERT INTO public.tags (id, name) VALUES ('theirs', 'Routers')")
    flow(at).load()
    routers = next(tag["id"] for tag in at.store.expected["tags"] if tag["name"] == "Routers")
    assert at.sql("SELECT source_id, target_id FROM credstore_sync.tag_map") == [(routers, "theirs")]
    at.sql("DELETE FROM public.tags WHERE id = 'theirs'")
    for _ in range(2):
        run = flow(at)
        run.load()
        assert at.sql("SELECT id FROM public.tags WHERE name = 'Routers'") == [(routers,)]
        assert at.sql("SELECT * FROM credstore_sync.tag_map") == []
        assert not run.red()
    # Associations that went with the deleted tag stay deleted; those that could not go with it follow the new one.
    links = [link for link in at.store.expected["associations"] if link["tag_id"] == routers]
    found = at.sql("SELECT count(*) FROM public.credential_tags WHERE tag_id = %s", routers)[0][0]
    assert found == (0 if version is W5FF43A7 else len(links))
