import pytest

from credstore_pipeline.core.errors import ShapeRefused
from credstore_pipeline.core.target.connect import make_engine, transaction
from credstore_pipeline.core.target.differences import check_shape, require_known_shape
from credstore_pipeline.core.target.shape import read_shape
from credstore_pipeline.core.target.tables import add_keys, create_missing
from credstore_pipeline_tests.core.target.ddl import (
    CREDENTIALS,
    F7B7109,
    F7B7109_STORE,
    NEWEST,
    TAGS,
    TAGS_OF_THE_FIRST_MIGRATION,
    W5FF43A7,
)


@pytest.fixture
def shape_of(engine, execute):
    def read(statements, schema="public"):
        execute(statements, schema)
        with transaction(engine, "a test") as connection:
            return read_shape(connection, schema)

    return read


@pytest.mark.parametrize(
    "statements",
    [
        "SELECT 1",
        F7B7109,
        F7B7109_STORE,
        W5FF43A7,
        TAGS,
        TAGS_OF_THE_FIRST_MIGRATION,
        TAGS_OF_THE_FIRST_MIGRATION + F7B7109_STORE,
        CREDENTIALS,
    ],
    ids=[
        "empty",
        "f7b7109",
        "f7b7109 store alone",
        "5ff43a7",
        "tags",
        "first tags",
        "first tags, store",
        "credentials",
    ],
)
def test_the_applications_tables_have_no_difference(shape_of, statements):
    shape = shape_of(statements)
    assert check_shape(shape) == []
    require_known_shape(shape)


@pytest.mark.parametrize("bare", [True, False])
def test_our_own_tables_have_no_difference(connection, bare):
    created = create_missing(connection, "public", bare=bare)
    if bare:
        add_keys(connection, "public", created)
    shape = read_shape(connection, "public")
    assert check_shape(shape) == []
    assert shape.notes == []


@pytest.mark.parametrize(
    "change",
    [
        "CREATE INDEX more ON {schema}.credentials (username)",
        "CREATE UNIQUE INDEX more ON {schema}.credential_tags (credential_id, tag_id)",
        "ALTER TABLE {schema}.credentials ADD owner text",
        "ALTER TABLE {schema}.credentials ADD owner text NOT NULL DEFAULT 'nobody'",
        "ALTER TABLE {schema}.credentials ADD number bigint GENERATED ALWAYS AS IDENTITY",
        "ALTER TABLE {schema}.credentials ADD shout text GENERATED ALWAYS AS (upper(name)) STORED",
        "ALTER TABLE {schema}.credentials DROP COLUMN description, ADD description text",
        "ALTER TABLE {schema}.credentials ALTER password TYPE text",
        "ALTER TABLE {schema}.credentials ALTER name TYPE varchar(20), ALTER description TYPE varchar(2000)",
        "ALTER TABLE {schema}.credentials ALTER created_at SET NOT NULL, ALTER success_count SET NOT NULL",
        "ALTER TABLE {schema}.credentials ALTER success_count TYPE bigint, ALTER success_count SET DEFAULT 0",
        "ALTER TABLE {schema}.credentials ALTER created_at TYPE timestamp(6)",
        "CREATE TABLE {schema}.devices (id integer); CREATE VIEW {schema}.seen AS SELECT * FROM {schema}.credentials",
        "ALTER TABLE {schema}.credential_tags DROP CONSTRAINT credential_tags_tag_id_fkey",
        "DROP INDEX {schema}.ix_tags_name, {schema}.ix_credentials_id",
        "DROP TABLE {schema}.credential_tags",
    ],
)
def test_what_does_not_matter_is_no_difference(shape_of, change):
    assert check_shape(shape_of(W5FF43A7 + change)) == []


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ("ALTER TABLE {schema}.credentials DROP password", "credentials has no column password"),
        (
            "ALTER TABLE {schema}.credentials ALTER success_count TYPE text",
            "credentials column success_count is text, not integer",
        ),
        (
            "ALTER TABLE {schema}.credentials ALTER success_count TYPE smallint",
            "credentials column success_count is smallint, not integer",
        ),
        (
            "ALTER TABLE {schema}.credentials ALTER name TYPE char(255)",
            "credentials column name is character, not character varying",
        ),
        (
            "ALTER TABLE {schema}.credentials ALTER created_at TYPE timestamptz",
            "credentials column created_at is timestamp with time zone, not timestamp without time zone",
        ),
        (
            "ALTER TABLE {schema}.credentials ALTER created_at TYPE timestamp(3)",
            "credentials column created_at keeps 3 digits of a second, not 6",
        ),
        (
            "ALTER TABLE {schema}.credential_tags ALTER priority TYPE integer",
            "credential_tags column priority is integer, not double precision",
        ),
        (
            "ALTER TABLE {schema}.credential_tags ALTER priority TYPE real",
            "credential_tags column priority is real, not double precision",
        ),
        (
            "ALTER TABLE {schema}.credentials ALTER description SET NOT NULL",
            "credentials column description must not be NULL",
        ),
        (
            "ALTER TABLE {schema}.credentials ADD owner text NOT NULL",
            "credentials has a column owner that must not be NULL and has no default",
        ),
        (
            "ALTER TABLE {schema}.credentials DROP use_keys, ADD use_keys boolean GENERATED ALWAYS AS (true) STORED",
            "credentials column use_keys is computed by the database",
        ),
        (
            "ALTER TABLE {schema}.credentials DROP CONSTRAINT credentials_pkey CASCADE",
            "credentials has no primary key or unique index on id",
        ),
        (
            "ALTER TABLE {schema}.credential_tags DROP CONSTRAINT credential_tags_pkey,"
            " ADD PRIMARY KEY (credential_id, tag_id)",
            "credential_tags has no primary key or unique index on id",
        ),
        (
            "ALTER TABLE {schema}.tags RENAME TO real_tags;"
            " CREATE VIEW {schema}.tags AS SELECT * FROM {schema}.real_tags",
            "tags is a view, not a table",
        ),
    ],
)
def test_each_difference_is_said_in_words(shape_of, change, difference):
    shape = shape_of(W5FF43A7 + change)
    assert check_shape(shape) == [difference]
    with pytest.raises(ShapeRefused, match=r"schema public of the target: .*CREDSTORE_TARGET_SCHEMA"):
        require_known_shape(shape)


def test_several_differences_are_listed_together(shape_of):
    shape = shape_of(
        W5FF43A7 + "ALTER TABLE {schema}.credentials DROP use_keys, DROP key_file;"
        "ALTER TABLE {schema}.tags ALTER color TYPE integer USING 0"
    )
    assert check_shape(shape) == [
        "tags column color is integer, not character varying",
        "credentials has no column use_keys",
        "credentials has no column key_file",
    ]


def test_the_newest_schema_is_recognised_as_such(shape_of):
    (difference,) = check_shape(shape_of(NEWEST))
    assert "integer ids and credential_tag_association" in difference
    assert "newer version" in difference


def test_another_schema_is_looked_at_alone(shape_of):
    shape = shape_of(NEWEST + 'CREATE SCHEMA "the app";' + W5FF43A7.replace("{schema}", '"the app"'))
    assert len(check_shape(shape)) == 1


def test_quoted_schema_names_are_found(engine, execute, connection):
    execute('CREATE SCHEMA "The ""App"""; ' + W5FF43A7, schema='"The ""App"""')
    shape = read_shape(connection, 'The "App"')
    assert shape.schema_exists and set(shape.tables) == {"tags", "credentials", "credential_tags"}


def test_a_missing_schema_has_no_tables(connection):
    shape = read_shape(connection, "nowhere")
    assert not shape.schema_exists
    assert not shape.present("tags")
    assert check_shape(shape) == []


def test_dropped_columns_are_no_columns(shape_of):
    shape = shape_of(W5FF43A7 + "ALTER TABLE {schema}.tags ADD gone text, DROP color, ADD color varchar(7)")
    assert list(shape_of("ALTER TABLE {schema}.tags DROP gone").tables["tags"].columns)[-1] == "color"
    assert len(shape.tables["tags"].columns) == 7


def test_limits_are_those_of_the_real_columns(shape_of):
    shape = shape_of(
        F7B7109_STORE + "ALTER TABLE {schema}.credentials ALTER name TYPE varchar(20), ALTER password TYPE text"
    )
    assert shape.limit("credentials", "name") == 20
    assert shape.limit("credentials", "password") is None
    assert shape.limit("credentials", "username") == 255
    assert shape.limit("credentials", "success_count") is None


def test_limits_of_missing_tables_are_those_they_will_get(shape_of):
    shape = shape_of("SELECT 1")
    found = {
        name: shape.limit("credentials", name) for name in ("id", "name", "password", "description", "success_count")
    }
    assert found == {"id": 36, "name": 255, "password": 1024, "description": None, "success_count": None}
    assert (shape.limit("tags", "name"), shape.limit("tags", "color")) == (50, 7)


def test_keys_and_references_are_told(shape_of):
    tags = shape_of(F7B7109 + "CREATE UNIQUE INDEX part ON {schema}.credentials (name) WHERE use_keys").tables
    assert tags["tags"].unique == {("id",), ("name",)}
    assert tags["credentials"].unique == {("id",)}
    assert tags["credential_tags"].references == {"credential_id": "public.credentials"}


def test_obstacles_that_are_none_of_the_shape_are_noted(shape_of):
    shape = shape_of(
        W5FF43A7
        + """
        CREATE FUNCTION {schema}.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER audit BEFORE INSERT ON {schema}.credentials FOR EACH ROW EXECUTE FUNCTION {schema}.f();
        CREATE UNIQUE INDEX pairs ON {schema}.credential_tags (credential_id, tag_id);
        CREATE UNIQUE INDEX back ON {schema}.credential_tags (tag_id, credential_id);
        ALTER TABLE {schema}.credential_tags ADD CONSTRAINT sane CHECK (priority >= 0);
        ALTER TABLE {schema}.tags ENABLE ROW LEVEL SECURITY;
        ALTER TABLE {schema}.credential_tags SET UNLOGGED;
        """
    )
    assert check_shape(shape) == []
    assert shape.notes == [
        "tags: has row level security",
        "credentials: has triggers: audit",
        "credential_tags: is unlogged: a crash of the server empties it",
        "credential_tags: has check constraints: sane",
        "credential_tags: has unique indexes that the application does not make: back, pairs",
    ]


def test_owned_is_about_the_role_that_asks(shape_of, login, engine):
    assert shape_of(TAGS).owned("tags")
    with transaction(make_engine(login(), "run"), "a test") as connection:
        shape = read_shape(connection, "public")
    assert not shape.owned("tags")
    assert shape.owned("credentials"), "what is missing will be ours"
