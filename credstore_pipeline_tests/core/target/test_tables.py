import time

import pytest
import sqlalchemy as sa

from credstore_pipeline.core.errors import TargetError
from credstore_pipeline.core.target.connect import make_engine, quoted, transaction
from credstore_pipeline.core.target.tables import (
    WIDEN_LOCK_MAX_S,
    WIDEN_TRIES,
    add_keys,
    create_missing,
    widen_password,
)
from credstore_pipeline_tests.core.target.ddl import F7B7109_STORE, W5FF43A7

STATISTICS = [
    ("success_count", "integer", False, None),
    ("failure_count", "integer", False, None),
    ("last_used", "timestamp without time zone", False, None),
    ("last_success", "timestamp without time zone", False, None),
    ("last_failure", "timestamp without time zone", False, None),
    ("created_at", "timestamp without time zone", False, None),
    ("updated_at", "timestamp without time zone", False, None),
]
COLUMNS = {
    "tags": [
        ("id", "character varying(36)", True, None),
        ("name", "character varying(50)", True, None),
        ("description", "text", False, None),
        ("color", "character varying(7)", False, None),
        ("created_at", "timestamp without time zone", False, None),
        ("updated_at", "timestamp without time zone", False, None),
    ],
    "credentials": [
        ("id", "character varying(36)", True, None),
        ("name", "character varying(255)", True, None),
        ("description", "text", False, None),
        ("username", "character varying(255)", True, None),
        ("password", "character varying(1024)", False, None),
        ("use_keys", "boolean", False, None),
        ("key_file", "character varying(1024)", False, None),
        *STATISTICS,
    ],
    "credential_tags": [
        ("id", "character varying(36)", True, None),
        ("credential_id", "character varying(36)", True, None),
        ("tag_id", "character varying(36)", True, None),
        ("priority", "double precision", False, None),
        *STATISTICS,
    ],
}
INDEXES = {
    "CREATE INDEX ix_credential_tags_id ON {schema}.credential_tags USING btree (id)",
    "CREATE INDEX ix_credentials_id ON {schema}.credentials USING btree (id)",
    "CREATE INDEX ix_credentials_name ON {schema}.credentials USING btree (name)",
    "CREATE INDEX ix_tags_id ON {schema}.tags USING btree (id)",
    "CREATE UNIQUE INDEX credential_tags_pkey ON {schema}.credential_tags USING btree (id)",
    "CREATE UNIQUE INDEX credentials_pkey ON {schema}.credentials USING btree (id)",
    "CREATE UNIQUE INDEX ix_tags_name ON {schema}.tags USING btree (name)",
    "CREATE UNIQUE INDEX tags_pkey ON {schema}.tags USING btree (id)",
}
CONSTRAINTS = {
    ("credential_tags", "credential_tags_pkey", "PRIMARY KEY (id)"),
    ("credentials", "credentials_pkey", "PRIMARY KEY (id)"),
    ("tags", "tags_pkey", "PRIMARY KEY (id)"),
    (
        "credential_tags",
        "credential_tags_credential_id_fkey",
        "FOREIGN KEY (credential_id) REFERENCES {schema}.credentials(id) ON DELETE CASCADE",
    ),
    (
        "credential_tags",
        "credential_tags_tag_id_fkey",
        "FOREIGN KEY (tag_id) REFERENCES {schema}.tags(id) ON DELETE CASCADE",
    ),
}


def catalog(connection, schema):
    """Read columns, indexes and constraints from the catalog, in PostgreSQL's own words."""
    # What is not on the search path is written out in full.
    connection.execute(sa.text("SET LOCAL search_path = pg_catalog"))
    columns = {}
    for table, *column in connection.execute(
        sa.text(
            "SELECT relname, attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid)"
            " FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid LEFT JOIN pg_attrdef d"
            " ON adrelid = attrelid AND adnum = attnum"
            " WHERE relnamespace = CAST(:schema AS regnamespace) AND relkind = 'r' AND attnum > 0 AND NOT attisdropped"
            " ORDER BY relname, attnum"
        ),
        {"schema": quoted(schema)},
    ):
        columns.setdefault(table, []).append(tuple(column))
    indexes = connection.execute(sa.text("SELECT indexdef FROM pg_indexes WHERE schemaname = :s"), {"s": schema})
    constraints = connection.execute(
        sa.text(
            "SELECT relname, conname, pg_get_constraintdef(k.oid)"
            " FROM pg_constraint k JOIN pg_class c ON c.oid = conrelid"
            " WHERE connamespace = CAST(:schema AS regnamespace) AND contype <> 'n'"
        ),
        {"schema": quoted(schema)},
    )
    return columns, set(indexes.scalars()), {tuple(row) for row in constraints}


def expected(quoted_schema):
    return (
        COLUMNS,
        {index.replace("{schema}", quoted_schema) for index in INDEXES},
        {(table, name, words.replace("{schema}", quoted_schema)) for table, name, words in CONSTRAINTS},
    )


def test_created_tables_are_the_applications_to_the_letter(connection):
    assert create_missing(connection, "public", bare=False) == {"tags", "credentials", "credential_tags"}
    assert catalog(connection, "public") == expected("public")


def test_bare_tables_with_keys_added_are_the_applications_to_the_letter(connection):
    created = create_missing(connection, "public", bare=True)
    columns, indexes, constraints = catalog(connection, "public")
    assert (columns, indexes, constraints) == (COLUMNS, set(), set())
    add_keys(connection, "public", created)
    assert catalog(connection, "public") == expected("public")


@pytest.mark.parametrize("bare", [True, False])
def test_any_schema_name_will_do_and_public_stays_empty(connection, bare):
    """Index names once had the schema's name in them."""
    name = 'Net.Raven "2"'
    created = create_missing(connection, name, bare=bare)
    if bare:
        add_keys(connection, name, created)
    assert catalog(connection, name) == expected('"Net.Raven ""2"""')
    assert catalog(connection, "public") == ({}, set(), set())


def test_what_is_there_is_left_as_it_is(connection, execute):
    execute(F7B7109_STORE)
    before = catalog(connection, "public")
    connection.execute(sa.text("SET LOCAL search_path = pg_catalog, public"))
    created = create_missing(connection, "public", bare=True)
    add_keys(connection, "public", created)
    columns, indexes, constraints = catalog(connection, "public")
    assert created == {"tags"}
    assert columns == before[0] | {"tags": COLUMNS["tags"]}
    assert before[1] < indexes
    assert len(indexes - before[1]) == 3
    assert constraints - before[2] == {("tags", "tags_pkey", "PRIMARY KEY (id)")}
    assert create_missing(connection, "public", bare=True) == frozenset()


def test_keys_come_in_the_same_transaction_and_go_with_it(engine):
    with engine.connect() as connection:
        add_keys(connection, "public", create_missing(connection, "public", bare=True))
        connection.rollback()
        assert catalog(connection, "public") == ({}, set(), set())


def test_a_wide_password_is_text_and_nothing_else_changes(connection):
    create_missing(connection, "public", bare=False, wide_password=True)
    columns, indexes, constraints = catalog(connection, "public")
    changed = [
        (table, new) for table in COLUMNS for new, old in zip(columns[table], COLUMNS[table], strict=True) if new != old
    ]
    assert changed == [("credentials", ("password", "text", False, None))]
    assert (indexes, constraints) == expected("public")[1:]


def password_type(engine):
    with engine.connect() as connection:
        columns = catalog(connection, "public")[0]["credentials"]
        return next(kind for name, kind, *_ in columns if name == "password")


def test_widening_makes_the_password_text_once(engine, execute):
    execute(W5FF43A7)
    assert widen_password(engine, "public") is True
    assert password_type(engine) == "text"
    assert widen_password(engine, "public") is False


def test_widening_without_a_table_has_nothing_to_do(engine):
    assert widen_password(engine, "public") is False


def test_three_tries_of_two_seconds_are_the_default():
    assert (WIDEN_TRIES, WIDEN_LOCK_MAX_S) == (3, 2.0)


def test_a_reader_in_the_way_is_named_after_short_tries(database, engine, execute):
    """A waiting ALTER TABLE keeps every later reader waiting too."""
    execute(W5FF43A7)
    pauses = []
    with make_engine(database, "the-reader").connect() as reader:
        reader.execute(sa.text("SELECT * FROM public.credentials"))
        pid = reader.connection.driver_connection.info.backend_pid
        with pytest.raises(
            TargetError, match=rf"each of 2 tries: run the-reader \(pid {pid}, in a transaction since 2"
        ) as caught:
            began = time.monotonic()
            widen_password(engine, "public", tries=2, lock_max_s=0.1, sleep=pauses.append)
    assert time.monotonic() - began < 50
    assert type(caught.value) is TargetError, "trying again at once would hold up the application's readers"
    assert len(pauses) == 1
    assert password_type(engine) == "character varying(1024)"


def test_widening_succeeds_when_the_reader_goes(database, engine, execute):
    execute(W5FF43A7)
    reader = make_engine(database, "the-reader").connect()
    reader.execute(sa.text("SELECT * FROM public.credentials"))
    assert widen_password(engine, "public", tries=2, lock_max_s=0.1, sleep=lambda _: reader.close()) is True


def test_a_view_in_the_way_of_widening_is_said(engine, execute):
    execute(W5FF43A7 + "CREATE VIEW {schema}.passwords AS SELECT password FROM {schema}.credentials;")
    with pytest.raises(TargetError, match=r"0A000.*views"):
        widen_password(engine, "public")


def test_a_missing_right_to_create_is_named(database, login):
    with (
        pytest.raises(TargetError, match="42501"),
        transaction(make_engine(login(), "run"), "creating tables") as connection,
    ):
        create_missing(connection, "public", bare=False)
