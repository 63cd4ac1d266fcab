import pyarrow as pa
import pytest
from cryptography.fernet import InvalidToken

from credstore_pipeline.core.cells import InvalidText, cells_from_values
from credstore_pipeline.core.validation.quarantine import RowSealer

CANARY = "canary-91c2-stored-in-the-clear"
DATA_KEY = bytes(range(32))
VALUES = ["x", CANARY, "a\0b", "\udcff", b"\x00\xff", 12, 1.5, float("inf"), None, "ünïcode"]


def refused(count):
    return pa.table(
        {
            "source_table": ["credentials"] * count,
            "source_rowid": list(range(count)),
            "row_index": list(range(count)),
            "source_id": ["id"] * count,
            "reason": ["missing_value"] * count,
            "detail": [""] * count,
        }
    )


def sealed(values=VALUES, key=DATA_KEY):
    extracted = pa.table({"source_rowid": list(range(len(values))), "password": cells_from_values(values)})
    return RowSealer(key).seal(refused(len(values)), extracted)


def test_a_sealed_row_opens_to_exactly_what_the_source_held():
    rows = [RowSealer(DATA_KEY).open(text)["password"] for text in sealed()["sealed_row"].to_pylist()]
    assert rows[:3] == VALUES[:3]
    assert isinstance(rows[3], InvalidText)
    assert bytes(rows[3]) == b"\xff"
    assert rows[4:] == VALUES[4:]
    assert [type(value) for value in rows[5:8]] == [int, float, float]


def test_nothing_of_the_row_shows_in_the_sealed_form():
    assert CANARY not in str(sealed().to_pylist())


def test_content_is_recognised_under_the_same_key_alone():
    again = sealed()["content_fp"].to_pylist()
    assert sealed()["content_fp"].to_pylist() == again
    assert len(set(again)) == len(VALUES)
    assert not set(sealed(key=bytes(32))["content_fp"].to_pylist()) & set(again)


def test_the_type_of_a_value_is_part_of_its_content():
    prints = sealed(["1", 1, 1.0, b"1"])["content_fp"].to_pylist()
    assert len(set(prints)) == 4


def test_another_data_key_opens_nothing():
    with pytest.raises(InvalidToken):
        RowSealer(bytes(32)).open(sealed()["sealed_row"][0].as_py())
