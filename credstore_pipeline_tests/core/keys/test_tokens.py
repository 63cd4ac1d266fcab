"""Many tokens at once say what the library says of each."""

import base64
import os

import pytest
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from hypothesis import given
from hypothesis import strategies as st

from credstore_pipeline.core.keys.tokens import TokenOpener, decoded

MATERIAL = bytes(range(32))
FERNET = Fernet(base64.urlsafe_b64encode(MATERIAL))


def by_the_library(token: bytes) -> bytes | None:
    try:
        return FERNET.decrypt(token)
    except InvalidToken:
        return None


def by_us(tokens: list[bytes]) -> list[bytes | None]:
    raw = [decoded(token) for token in tokens]
    opened = iter(TokenOpener(MATERIAL).open([text for text in raw if text is not None]))
    return [None if text is None else next(opened) for text in raw]


def signed(blocks: bytes, version: bytes = b"\x80") -> bytes:
    """A token whose MAC is right, whatever is in it."""
    encryptor = Cipher(algorithms.AES(MATERIAL[16:]), modes.CBC(bytes(16))).encryptor()
    text = version + bytes(8) + bytes(16) + encryptor.update(blocks)
    mac = HMAC(MATERIAL[:16], SHA256())
    mac.update(text)
    return base64.urlsafe_b64encode(text + mac.finalize())


@given(st.lists(st.binary(max_size=80), max_size=12))
def test_what_the_library_sealed_opens_equal_whatever_stands_beside_it(plaintexts):
    assert by_us([FERNET.encrypt(text) for text in plaintexts]) == plaintexts


def test_long_and_empty_plaintexts_open_in_one_lot():
    plaintexts = [b"", os.urandom(5_000), b"\0", b"x" * 15, b"x" * 16, b"x" * 17]
    assert by_us([FERNET.encrypt(text) for text in plaintexts]) == plaintexts


@given(st.integers(0, 88), st.integers(1, 255))
def test_one_altered_byte_closes_that_token_alone(place, by):
    raw = bytearray(base64.urlsafe_b64decode(FERNET.encrypt(b"a password of two blocks")))
    raw[place] ^= by
    altered, before, after = base64.urlsafe_b64encode(raw), FERNET.encrypt(b"before"), FERNET.encrypt(b"after")
    assert by_the_library(altered) is None
    assert by_us([before, altered, after]) == [b"before", None, b"after"]


@pytest.mark.parametrize(
    "blocks",
    [bytes(16), b"\x11" * 16, b"x" * 15 + b"\x00", b"x" * 14 + b"\x01\x02", b"x" * 15 + b"\x01", b"\x10" * 16],
)
def test_padding_is_judged_as_the_library_judges_it(blocks):
    assert by_us([signed(blocks)]) == [by_the_library(signed(blocks))]


def test_another_keys_token_does_not_open():
    assert by_us([Fernet(Fernet.generate_key()).encrypt(b"another's"), FERNET.encrypt(b"ours")]) == [None, b"ours"]


def test_what_is_no_token_is_not_decoded():
    assert [decoded(text) for text in (b"", b"gAAA", b"x", signed(b"x" * 16, version=b"\x81"))] == [None] * 4
