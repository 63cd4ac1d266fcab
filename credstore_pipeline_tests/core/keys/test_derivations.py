"""Key derivations, against values derived by hand."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credstore_pipeline.core.keys import derivations
from credstore_pipeline.core.keys.derivations import (
    env_key_id,
    pbkdf2_env_key,
    pbkdf2_head_key,
    raw_key,
    sha256_key,
)


def pbkdf2(string: str, salt: str) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", string.encode(), salt.encode(), 100_000, 32)


def test_sha256_takes_the_string_as_utf8_once():
    assert sha256_key("clé").hex() == hashlib.sha256("clé".encode()).hexdigest()


@pytest.mark.parametrize(
    ("string", "padded"),
    [
        ("short-key", "short-key00000000000000000000000"),
        ("fifteen-letters", "fifteen-letters00000000000000000"),
        ("sixteen-letters!", "sixteen-letters!"),
        # Characters are counted, not bytes.
        ("é" * 15, "é" * 15 + "0" * 17),
    ],
)
def test_a_short_environment_key_is_padded_with_zeros_to_32_characters(string, padded):
    assert pbkdf2_env_key(string) == pbkdf2(padded, "netraven.credential.store")


def test_the_newest_derivation_pads_nothing():
    assert pbkdf2_head_key("short-key", "netraven_salt") == pbkdf2("short-key", "netraven_salt")


def test_an_environment_keys_id_is_the_start_of_its_digest():
    assert env_key_id("vector-key-0123456789") == "env_25b971e0"


def test_a_derivation_runs_once_a_process():
    derivations._pbkdf2.cache_clear()
    for _ in range(3):
        pbkdf2_env_key("derived once")
    assert derivations._pbkdf2.cache_info().misses == 1


@given(st.binary(min_size=32, max_size=32))
def test_a_fernet_key_in_its_own_text_is_a_raw_key(material):
    assert raw_key(base64.urlsafe_b64encode(material).decode()) == material


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a passphrase of exactly forty-four characters"[:44],
        "A" * 44,
        "O6CCH-wslziv-EKrqfkUYTPfU784Fn0hCC6izUTLpaR=",
        "O6CCH-wslziv-EKrqfkUYTPfU784Fn0hCC6izUTLpaQ",
        "O6CCH+wslziv+EKrqfkUYTPfU784Fn0hCC6izUTLpaQ=",
        "O6CCH-wslziv-EKrqfkUYTPfU784Fn0hCC6izUTLpaQ=\n",
        "é" * 44,
    ],
)
def test_any_other_text_is_no_raw_key(text):
    assert raw_key(text) is None
