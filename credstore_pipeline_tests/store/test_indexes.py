import pytest

from credstore_pipeline.core.errors import TargetError
from credstore_pipeline.core.target.connect import make_engine
from credstore_pipeline.core.target.differences import check_shape
from credstore_pipeline.core.target.indexes import INDEXES, add_indexes
from credstore_pipeline.core.target.shape import read_shape
from credstore_pipeline_tests.store.test_databases import use_everything

pytestmark = pytest.mark.usefixtures("own")


def plan(sql, query):
    return "\n".join(line for (line,) in sql(f"EXPLAIN {query}"))


def test_indexes_are_built_once_and_used(store, sql, database):
    assert add_indexes(database, "run") == list(INDEXES)
    assert add_indexes(database, "run") == []
    sql("INSERT INTO tags (id, name) SELECT 't' || n, 't' || n FROM generate_series(1, 100) n")
    sql("INSERT INTO credentials (id, name, username) SELECT 'c' || n, '', '' FROM generate_series(1, 3000) n")
    sql(
        "INSERT INTO credential_tags (id, credential_id, tag_id)"
        " SELECT 'l' || n, 'c' || n, 't' || (n % 100 + 1) FROM generate_series(1, 3000) n"
    )
    sql("ANALYZE credential_tags")
    assert "credstore_credential_tags_by_tag" in plan(sql, "SELECT * FROM credential_tags WHERE tag_id = 't7'")
    pair = "SELECT * FROM credential_tags WHERE credential_id = 'c6' AND tag_id = 't7'"
    assert "credstore_credential_tags_by_credential" in plan(sql, pair)


def test_everything_works_with_indexes(store, database):
    add_indexes(database, "run")
    use_everything(store)


def test_an_index_whose_building_was_ended_is_built_anew(store, sql, database):
    add_indexes(database, "run")
    name = next(iter(INDEXES))
    sql("UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", name)
    assert add_indexes(database, "run") == [name]
    assert sql("SELECT indisvalid FROM pg_index WHERE indexrelid = %s::regclass", name) == [(True,)]


def test_the_tables_owner_alone_may_build_them(store, login):
    with pytest.raises(TargetError) as caught:
        add_indexes(login(), "run")
    assert caught.value.sqlstate == "42501"
    assert "being the owner of table credential_tags" in str(caught.value)


def test_the_pipeline_loads_beside_them_as_before(store, database):
    add_indexes(database, "run")
    with make_engine(database, "run").connect() as connection:
        assert check_shape(read_shape(connection, "public")) == []
