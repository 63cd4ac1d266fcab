import datetime as dt
import math
import struct

import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from credstore_pipeline.core.errors import TargetError
from credstore_pipeline.core.target import bulk
from credstore_pipeline.core.target.bulk import copy_in, copy_out, copy_out_each
from credstore_pipeline.core.target.connect import make_engine, transaction

SCHEMA = pa.schema(
    {
        "s": pa.string(),
        "v": pa.string(),
        "i": pa.int64(),
        "n": pa.int32(),
        "f": pa.float64(),
        "b": pa.bool_(),
        "t": pa.timestamp("us"),
        "z": pa.timestamp("us", "UTC"),
        "y": pa.binary(),
        "j": pa.string(),
    }
)
TABLE = """
CREATE TEMPORARY TABLE every_type (s text, v varchar(4000), i bigint, n integer, f double precision, b boolean,
                                   t timestamp, z timestamptz, y bytea, j jsonb,
                                   place bigint GENERATED ALWAYS AS IDENTITY)
"""
READ_BACK = "SELECT s, v, i, n, f, b, t, z, y, j FROM pg_temp.every_type ORDER BY place"

# Every character but NUL, which PostgreSQL has no place for, and half surrogates, which are none.
characters = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
texts = st.one_of(
    st.text(characters, max_size=40),
    st.text("\",\\.\n\r\tnN 'xt", max_size=12),
    st.sampled_from(["", '""', "\\.", "\\N", "NULL", "null", "\n\\.\n", "\\x41", "t", "f", "\ufeff", " ", "#", "\r\n"]),
)
moments = st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999))
rows = st.fixed_dictionaries(
    {
        "s": st.none() | texts,
        "v": st.none() | texts,
        "i": st.none() | st.integers(-(2**63), 2**63 - 1),
        "n": st.none() | st.integers(-(2**31), 2**31 - 1),
        "f": st.none() | st.floats(),
        "b": st.none() | st.booleans(),
        "t": st.none() | moments,
        "z": st.none() | moments.map(lambda moment: moment.replace(tzinfo=dt.UTC)),
        "y": st.none() | st.binary(max_size=30),
        "j": st.none() | st.integers().map(str),
    }
)


@pytest.fixture
def connection(database):
    with transaction(make_engine(database, "run"), "a test", "public") as connection:
        yield connection


def bits(value):
    """Make floats comparable to the bit; which bits a NaN has is no part of its meaning."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack("<d", value)
    return value


def comparable(table):
    return [{name: bits(value) for name, value in row.items()} for row in table.to_pylist()]


def test_every_value_comes_back_as_it_was(connection):
    connection.execute(sa.text(TABLE))

    @settings(max_examples=60, deadline=None)
    @given(st.lists(rows, max_size=12))
    def round_trip(values):
        connection.execute(sa.text("DELETE FROM pg_temp.every_type"))
        table = pa.Table.from_pylist(values, SCHEMA)
        assert copy_in(connection, table, "pg_temp.every_type") == len(values)
        assert comparable(copy_out(connection, READ_BACK, SCHEMA)) == comparable(table)

    round_trip()


def test_the_server_sees_the_very_values_that_were_sent(connection):
    """Reading back what was written would not show a change that both ways make."""
    connection.execute(sa.text(TABLE))
    first = {
        "s": "",
        "v": 'a"b,\n\\.\n\\N\r\té\U0001f600',
        "i": -(2**63),
        "n": 7,
        "f": 0.1 + 0.2,
        "b": False,
        "t": dt.datetime(2024, 2, 29, 1, 2, 3, 40),
        "z": dt.datetime(2024, 2, 29, 1, 2, 3, 40, dt.UTC),
        "y": b"\x00\xff\\",
        "j": '{"a": "\\"\\n"}',
    }
    copy_in(connection, pa.Table.from_pylist([first, dict.fromkeys(first)], SCHEMA), "pg_temp.every_type")
    found, empty = connection.execute(sa.text(READ_BACK)).mappings()
    assert {**found, "y": bytes(found["y"])} == {**first, "j": {"a": '"\n'}}
    assert set(empty.values()) == {None}


def test_a_row_of_one_null_is_a_row_and_one_of_an_empty_text_another(connection):
    connection.execute(sa.text("CREATE TEMPORARY TABLE one (s text)"))
    table = pa.table({"s": pa.array([None, "", None, "\\.", "x"], pa.string())})
    copy_in(connection, table, "pg_temp.one")
    assert connection.execute(sa.text("SELECT count(*), count(s) FROM pg_temp.one")).one() == (5, 3)
    assert copy_out(connection, "SELECT s FROM pg_temp.one", table.schema).equals(table)


def test_a_byte_order_mark_at_the_beginning_is_a_character(connection):
    """The CSV reader took it for a mark of the file: the text came back without it, and alone as NULL."""
    connection.execute(sa.text("CREATE TEMPORARY TABLE one (s text)"))
    table = pa.table({"s": ["\ufeff", "\ufeff\ufeff"]})
    copy_in(connection, table, "pg_temp.one")
    assert copy_out(connection, "SELECT s FROM pg_temp.one", table.schema).equals(table)


def test_columns_go_by_name_and_others_keep_their_defaults(connection):
    connection.execute(sa.text('CREATE TEMPORARY TABLE odd ("a ""b" text, c integer DEFAULT 5, d text)'))
    table = pa.table({"d": ["d"], "unwanted": [1], 'a "b': ["a"]})
    copy_in(connection, table, "pg_temp.odd", ['a "b', "d"])
    assert connection.execute(sa.text("SELECT * FROM pg_temp.odd")).one() == ("a", 5, "d")


def test_a_table_without_rows_is_no_trouble(connection):
    connection.execute(sa.text(TABLE))
    assert copy_in(connection, SCHEMA.empty_table(), "pg_temp.every_type") == 0
    assert copy_out(connection, READ_BACK, SCHEMA).equals(SCHEMA.empty_table())


def test_parts_join_without_a_seam(connection, monkeypatch):
    """Batches on the way in and parts on the way out end inside of nothing, whatever their size."""
    monkeypatch.setattr(bulk, "BATCH_ROWS", 7)
    monkeypatch.setattr(bulk, "CHUNK_BYTES", 100)
    connection.execute(sa.text("CREATE TEMPORARY TABLE t (i bigint, s text, y bytea)"))
    count = 300
    values = {
        "i": list(range(count)),
        "s": [None if i % 5 == 0 else f'é"\n{i}' * (i % 40) for i in range(count)],
        "y": [None if i % 3 == 0 else bytes([i % 256]) * (i % 50) for i in range(count)],
    }
    table = pa.table(values, schema=pa.schema({"i": pa.int64(), "s": pa.string(), "y": pa.binary()}))
    copy_in(connection, table, "pg_temp.t")
    parts = []
    assert copy_out_each(connection, "SELECT * FROM pg_temp.t ORDER BY i", table.schema, parts.append) == count
    assert len(parts) > 10
    assert pa.concat_tables(parts).to_pydict() == values


def test_slices_and_chunks_of_tables_are_written_as_they_are(connection):
    connection.execute(sa.text("CREATE TEMPORARY TABLE t (s text, y bytea)"))
    whole = pa.table({"s": ["a", "b", "c", "d"], "y": [b"aa", None, b"", b"dddd"]})
    table = pa.concat_tables([whole.slice(1, 2), whole.slice(3)])
    copy_in(connection, table, "pg_temp.t")
    assert copy_out(connection, "SELECT * FROM pg_temp.t", table.schema).to_pydict() == table.to_pydict()


def test_settings_of_the_role_do_not_change_what_is_read(database):
    """A role may have a DateStyle or extra_float_digits of its own, and COPY writes in them."""
    engine = make_engine(database, "run")
    with engine.begin() as connection:
        for setting in (
            "datestyle = 'SQL, DMY'",
            "bytea_output = 'escape'",
            "extra_float_digits = 0",
            "timezone = 'Asia/Kolkata'",
        ):
            connection.execute(sa.text(f"ALTER DATABASE {database.url.database} SET {setting}"))
    table = pa.Table.from_pylist(
        [
            {
                "f": 0.1 + 0.2,
                "t": dt.datetime(2024, 2, 3, 4, 5, 6),
                "z": dt.datetime(2024, 2, 3, 4, 5, 6, tzinfo=dt.UTC),
                "y": b"\0\xff",
            }
        ],
        SCHEMA,
    )
    with transaction(engine, "a test") as connection:
        connection.execute(sa.text(TABLE))
        copy_in(connection, table, "pg_temp.every_type")
        assert copy_out(connection, READ_BACK, SCHEMA).equals(table)


def test_a_value_that_cannot_be_read_is_not_quoted(connection):
    with pytest.raises(TargetError) as caught:
        copy_out(connection, "SELECT 'infinity'::timestamp", pa.schema({"t": pa.timestamp("us")}))
    assert "infinity" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_copied_rows_are_gone_after_a_rollback(database):
    """The driver's cursor works in the transaction that SQLAlchemy knows of, also if it comes first."""
    engine = make_engine(database, "run")
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE public.t (n bigint)"))
    for commit, expected in ((False, 0), (True, 1)):
        with engine.connect() as connection:
            copy_in(connection, pa.table({"n": [1]}), "public.t")
            assert connection.in_transaction()
            connection.commit() if commit else connection.rollback()
        with engine.connect() as connection:
            assert connection.execute(sa.text("SELECT count(*) FROM public.t")).scalar() == expected
