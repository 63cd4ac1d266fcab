import threading

import pytest

from credstore_pipeline.core.errors import LoadLocked, ProofFailed, ShapeRefused
from credstore_pipeline.core.seeding.plan import DEFAULT_TAGS, SeedTag
from credstore_pipeline.core.seeding.seed import prepare_tables, seed_tags
from credstore_pipeline.core.target.connect import make_engine, transaction
from credstore_pipeline.core.target.lock import take_lock

COLORS = [
    ("Default", "#6366F1"),
    ("Firewalls", "#33FF57"),
    ("Routers", "#FF5733"),
    ("Switches", "#3386FF"),
]


def test_an_empty_database_gets_the_tables_and_the_four_tags(seeding, sql):
    assert prepare_tables(seeding(), "r1") == {"tags", "credentials", "credential_tags"}
    assert prepare_tables(seeding(), "r2") == frozenset()
    assert seed_tags(seeding(), "r3").numbers == {"made": 4, "found": 0, "left_deleted": 0}
    assert sql("SELECT name, color FROM tags ORDER BY 1") == COLORS
    assert sql("SELECT id, description FROM tags WHERE name = 'Default'") == [
        ("tag-default", "Default tag for all devices")
    ]
    assert sql(
        "SELECT count(*) FROM tags WHERE created_at = updated_at AND created_at <= now() AT TIME ZONE 'UTC'"
    ) == [(4,)]


def test_seeding_again_writes_nothing(seeding, sql):
    seed_tags(seeding(), "r1")
    state = "SELECT xmin::text, t::text FROM tags t UNION ALL SELECT xmin::text, s::text FROM credstore_sync.seeded s"
    before = sorted(sql(state))
    assert seed_tags(seeding(), "r2").numbers == {"made": 0, "found": 4, "left_deleted": 0}
    assert sorted(sql(state)) == before


def test_the_same_run_repeated_after_an_unknown_commit_says_the_same(seeding):
    first = seed_tags(seeding(), "r1")
    assert seed_tags(seeding(), "r1") == first


def test_what_an_operator_changed_renamed_or_deleted_stays_so(seeding, sql):
    seed_tags(seeding(), "r1")
    sql("UPDATE tags SET color = '#000000', description = NULL WHERE name = 'Routers'")
    sql("UPDATE tags SET name = 'Layer 2' WHERE name = 'Switches'")
    sql("DELETE FROM tags WHERE name = 'Firewalls'")
    before = sorted(sql("SELECT t::text FROM tags t"))
    assert seed_tags(seeding(), "r2").numbers == {"made": 0, "found": 3, "left_deleted": 1}
    assert sorted(sql("SELECT t::text FROM tags t")) == before


def test_a_tag_of_the_same_name_that_was_there_is_left_and_not_made_again_once_deleted(seeding, sql):
    prepare_tables(seeding(), "r1")
    sql("INSERT INTO tags (id, name, color) VALUES ('own', 'Routers', '#123456')")
    assert seed_tags(seeding(), "r2").numbers == {"made": 3, "found": 1, "left_deleted": 0}
    assert sql("SELECT id, color FROM tags WHERE name = 'Routers'") == [("own", "#123456")]
    sql("DELETE FROM tags WHERE id = 'own'")
    assert seed_tags(seeding(), "r3").numbers == {"made": 0, "found": 3, "left_deleted": 1}


def test_the_applications_own_tag_is_known_by_its_id_under_another_name(seeding, sql):
    prepare_tables(seeding(), "r1")
    sql("INSERT INTO tags (id, name, color) VALUES ('tag-default', 'Everything', '#123456')")
    assert seed_tags(seeding(), "r2").numbers == {"made": 3, "found": 1, "left_deleted": 0}
    assert sql("SELECT name FROM tags WHERE id = 'tag-default'") == [("Everything",)]


def test_further_tags_are_seeded_too_and_later_additions_only(seeding, sql):
    core = SeedTag("Core", None, "#112233")
    seed_tags(seeding(tags=(*DEFAULT_TAGS, core)), "r1")
    sql("DELETE FROM tags WHERE name = 'Core'")
    both = (*DEFAULT_TAGS, core, SeedTag("Edge", "at the edge", "#445566"))
    assert seed_tags(seeding(tags=both), "r2").numbers == {"made": 1, "found": 4, "left_deleted": 1}
    assert sql("SELECT description, color FROM tags WHERE name = 'Edge'") == [("at the edge", "#445566")]


def test_a_load_that_is_running_keeps_seeding_out(seeding, database):
    prepare_tables(seeding(), "r1")
    with transaction(make_engine(database, "the load"), "a test") as connection:
        take_lock(connection, database.schema, 0)
        with pytest.raises(LoadLocked, match="run the load"):
            seed_tags(seeding(), "r2")


def test_several_seedings_at_once_make_each_tag_once(seeding, sql):
    made = []
    many = [
        threading.Thread(target=lambda n=n: made.append(seed_tags(seeding(lock_wait_s=300), f"r{n}").numbers["made"]))
        for n in range(4)
    ]
    for one in many:
        one.start()
    for one in many:
        one.join()
    assert sorted(made) == [0, 0, 0, 4]
    assert sql("SELECT name, color FROM tags ORDER BY 1") == COLORS


def test_a_trigger_that_alters_a_tag_rolls_everything_back(seeding, sql):
    prepare_tables(seeding(), "r1")
    sql(
        "CREATE FUNCTION public.altered() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN NEW.color := ''#000000''; RETURN NEW; END'"
    )
    sql("CREATE TRIGGER altered BEFORE INSERT ON tags FOR EACH ROW EXECUTE FUNCTION public.altered()")
    with pytest.raises(ProofFailed, match=r"public\.tags: what was read back is not what was written"):
        seed_tags(seeding(), "r2")
    assert sql("SELECT (SELECT count(*) FROM tags) + (SELECT count(*) FROM credstore_sync.seeded)") == [(0,)]


def test_tables_of_another_shape_are_refused(seeding, sql):
    sql("CREATE TABLE tags (id integer PRIMARY KEY, name text)")
    with pytest.raises(ShapeRefused):
        seed_tags(seeding(), "r1")
    assert sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'credstore_sync'") == [(0,)]
