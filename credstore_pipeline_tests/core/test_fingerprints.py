"""Fingerprints: a known MAC over an encoding that tells every two rows apart."""

import datetime
import hashlib
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credstore_pipeline.core.fingerprints import row_fingerprints, secret_fingerprint

KEY = bytes(range(32))
MASK = (1 << 64) - 1


def siphash_2_4(key: bytes, message: bytes) -> int:
    """SipHash-2-4 as its paper writes it."""
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:16], "little")
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rotated(value: int, by: int) -> int:
        return ((value << by) | (value >> (64 - by))) & MASK

    def rounds(count: int) -> None:
        for _ in range(count):
            v[0] = (v[0] + v[1]) & MASK
            v[1] = rotated(v[1], 13) ^ v[0]
            v[0] = rotated(v[0], 32)
            v[2] = (v[2] + v[3]) & MASK
            v[3] = rotated(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & MASK
            v[3] = rotated(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & MASK
            v[1] = rotated(v[1], 17) ^ v[2]
            v[2] = rotated(v[2], 32)

    padded = message + b"\0" * (7 - len(message) % 8) + bytes([len(message) % 256])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def spread(value: int) -> int:
    """The bijection that pandas applies to a digest (splitmix64's)."""
    value ^= value >> 30
    value = value * 0xBF58476D1CE4E5B9 & MASK
    value ^= value >> 27
    value = value * 0x94D049BB133111EB & MASK
    return value ^ (value >> 31)


REFERENCE = {
    0: "310e0edd47db6f72",
    1: "fd67dc93c539f874",
    2: "5a4fa9d909806c0d",
    3: "2d7efbd796666785",
    7: "37d1018bf50002ab",
    8: "6224939a79f5f593",
    15: "e545be4961ca29a1",
}
"""Length of 00 01 02 … -> SipHash-2-4 under the key 00 … 0f, from the reference implementation."""


@pytest.mark.parametrize("length", REFERENCE)
def test_the_mac_is_siphash_2_4(length):
    message = bytes(range(length))
    digest = siphash_2_4(KEY[:16], message)
    assert digest.to_bytes(8, "little").hex() == REFERENCE[length]
    messages = np.array([message], dtype=object)
    hashed = pd.util.hash_array(messages, encoding="latin-1", hash_key=KEY[:16].decode("latin-1"), categorize=False)
    assert int(hashed[0]) == spread(digest)


def test_a_key_of_high_bytes_is_taken_byte_by_byte():
    key = bytes(range(255, 223, -1))
    packed = row_fingerprints(key, "tags", pa.array(["1"]), {"name": pa.array(["a"])})
    assert packed.tobytes() == spread(siphash_2_4(key[:16], b"tags.name 1:1sa")).to_bytes(8, "little")


def column(value):
    if isinstance(value, datetime.datetime):
        return pa.array([value], pa.timestamp("us"))
    return pa.array([value])


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, b"n"),
        ("", b"s"),
        ("né\0", "sné\0".encode()),
        (0, b"i0"),
        (-12, b"i-12"),
        (2**63 - 1, b"i9223372036854775807"),
        (True, b"b1"),
        (False, b"b0"),
        (0.0, b"f0"),
        (-0.0, b"f0"),
        (1.5, b"f4609434218613702656"),
        (math.inf, b"f9218868437227405312"),
        (math.nan, b"f9221120237041090560"),
        (-math.nan, b"f9221120237041090560"),
        (datetime.datetime(1970, 1, 1, 0, 0, 1), b"t1000000"),
        (datetime.datetime(2025, 3, 22, 10, 0, 0, 123456), b"t1742637600123456"),
    ],
)
def test_a_fingerprint_covers_table_column_row_type_and_value(value, written):
    packed = row_fingerprints(KEY, "credentials", pa.array(["idé"]), {"some_column": column(value)})
    message = b"credentials.some_column 4:" + "idé".encode() + written
    assert packed.tobytes() == spread(siphash_2_4(KEY[:16], message)).to_bytes(8, "little")


values = st.one_of(
    st.none(),
    st.text(alphabet="ns:ibft01 \0é", max_size=4),
    st.integers(-3, 12),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.floats(allow_nan=False).map(lambda value: value + 0.0),
    st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1)),
)
cells = st.tuples(
    st.sampled_from(["tags", "tag", "credential_tags"]),
    st.text(alphabet="1:sn0", max_size=3),
    st.sampled_from(["name", "s_name", "priority"]),
    values,
)


def fingerprint_of(cell) -> bytes:
    table, row_id, name, value = cell
    return row_fingerprints(KEY, table, pa.array([row_id], pa.string()), {name: column(value)}).tobytes()


@settings(deadline=None)
@given(one=cells, other=cells)
def test_two_cells_share_a_fingerprint_only_if_they_are_the_same(one, other):
    same = one == other and type(one[3]) is type(other[3])
    assert (fingerprint_of(one) == fingerprint_of(other)) == same
    assert fingerprint_of(one) == fingerprint_of(one)


def test_columns_are_packed_in_their_order():
    ids = pa.array(["a", "b"])
    columns = {"name": pa.array(["x", None]), "priority": pa.array([1.0, 2.0])}
    packed = row_fingerprints(KEY, "tags", ids, columns)
    assert packed.shape == (2, 16)
    assert packed.dtype == np.uint8
    for at, (name, cells_) in enumerate(columns.items()):
        alone = row_fingerprints(KEY, "tags", ids, {name: cells_})
        assert (packed[:, 8 * at : 8 * at + 8] == alone).all()


def test_every_slice_of_a_large_table_is_fingerprinted_alike():
    count = 65_536 + 1_000
    ids = pa.array([str(number) for number in range(count)])
    names = pa.array([f"name {number}" for number in range(count)])
    packed = row_fingerprints(KEY, "tags", ids, {"name": names})
    for start in (0, 65_530, count - 10):
        part = row_fingerprints(KEY, "tags", ids[start : start + 10], {"name": names[start : start + 10]})
        assert (packed[start : start + 10] == part).all()
    assert len(np.unique(packed, axis=0)) == count


def test_how_a_value_is_stored_in_arrow_does_not_matter():
    ids = pa.array(["1", "2"])

    def packed(array) -> bytes:
        return row_fingerprints(KEY, "tags", ids, {"name": array}).tobytes()

    assert packed(pa.array([1, None], pa.int32())) == packed(pa.array([1, None], pa.int64()))
    assert packed(pa.array(["a", None])) == packed(pa.array(["a", None], pa.large_string()))
    assert packed(pa.array(["a", None])) == packed(pa.chunked_array([["a"], pa.array([None], pa.string())]))
    assert packed(pa.array([None, None], pa.string())) == packed(pa.nulls(2)) == packed(pa.nulls(2, pa.timestamp("us")))
    moment = datetime.datetime(2025, 1, 2, 3, 4, 5)
    assert packed(pa.array([moment, None], pa.timestamp("s"))) == packed(pa.array([moment, None], pa.timestamp("us")))


def test_no_rows_and_no_columns_give_none():
    assert row_fingerprints(KEY, "tags", pa.array([], pa.string()), {"name": pa.array([], pa.string())}).shape == (0, 8)
    assert row_fingerprints(KEY, "tags", pa.array(["1"]), {}).shape == (1, 0)


@pytest.mark.parametrize("type_", [pa.binary(), pa.timestamp("us", tz="UTC"), pa.date32(), pa.list_(pa.int64())])
def test_types_without_a_meaning_are_refused(type_):
    with pytest.raises(TypeError, match=r"tags\.name"):
        row_fingerprints(KEY, "tags", pa.array(["1"]), {"name": pa.nulls(1, type_)})


def test_wrong_arguments_are_refused_without_showing_values():
    ids, names = pa.array(["canary", None]), pa.array(["canary", "canary"])
    for arguments in (
        (KEY, "tags", ids, {"name": names}),
        (KEY[:16], "tags", pa.array(["1", "2"]), {"name": names}),
        (KEY, "tags", pa.array(["1"]), {"name": names}),
        (KEY, "tags", pa.array(["1", "2"]), {"name canary": names}),
    ):
        with pytest.raises(ValueError) as caught:
            row_fingerprints(*arguments)
        assert "canary" not in str(caught.value)


def test_a_passwords_fingerprint_is_blake2b_over_the_same_five():
    row = "idé".encode()
    for plaintext, written in ((None, b"n"), (b"", b"s"), (b"p\0", b"sp\0")):
        message = b"11:credentials8:password4:" + row + written
        expected = hashlib.blake2b(message, digest_size=8, key=KEY).digest()
        assert secret_fingerprint(KEY, "idé", plaintext) == expected


@given(
    one=st.tuples(st.text(alphabet="1:sné\ud800", max_size=3), st.one_of(st.none(), st.binary(max_size=4))),
    other=st.tuples(st.text(alphabet="1:sné\ud800", max_size=3), st.one_of(st.none(), st.binary(max_size=4))),
)
def test_two_passwords_share_a_fingerprint_only_in_one_row(one, other):
    assert (secret_fingerprint(KEY, *one) == secret_fingerprint(KEY, *other)) == (one == other)


def test_another_key_gives_other_fingerprints():
    other = KEY[::-1]
    assert secret_fingerprint(KEY, "1", b"x") != secret_fingerprint(other, "1", b"x")
    columns = {"name": pa.array(["x"])}
    one, two = (row_fingerprints(key, "tags", pa.array(["1"]), columns) for key in (KEY, other))
    assert one.tobytes() != two.tobytes()


def test_a_passwords_fingerprint_needs_a_whole_key():
    with pytest.raises(ValueError, match="32 bytes"):
        secret_fingerprint(KEY[:16], "1", b"x")
