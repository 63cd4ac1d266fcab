"""Each encoding against vectors that were taken from the application itself or from the reference Fernet."""

import base64
import json

import pytest
from cryptography.fernet import Fernet

from credstore_pipeline.demo.encodings import (
    FIRST_TOKEN_TIME,
    Pen,
    default_key,
    dress,
    env_key,
    file_key,
    head_key,
    plaintext,
)
from credstore_pipeline.demo.grains import Grains


@pytest.fixture
def pen() -> Pen:
    return Pen(Grains(5))


def test_a_token_opens_with_the_reference_fernet_and_carries_its_time(pen: Pen) -> None:
    key = default_key("some key string")
    for text in ("", "x", "fifteen letters", "sixteen letters!", "пароль-🔐" * 40):
        token = pen.token(text.encode(), key)
        fernet = Fernet(key.text)
        assert fernet.decrypt(token).decode() == text
        assert fernet.extract_timestamp(token) == FIRST_TOKEN_TIME + pen.written


def test_lengths_are_those_the_column_was_measured_with(pen: Pen) -> None:
    key, generated = default_key("k"), file_key(Grains(5), "any")
    assert len(str(pen.bare("x" * 15, key).value)) == 100
    assert len(str(pen.envelope("x" * 15, key).value)) == 197
    assert len(str(pen.envelope("x" * 479, key).value)) == 1017
    assert len(str(pen.envelope("x" * 479, generated).value)) == 1022
    assert len(str(pen.envelope("x" * 480, key).value)) > 1024
    once = pen.envelope("x", key)
    assert [len(str(pen.wrap(once, key).value)), len(str(pen.wrap(pen.wrap(once, key), key).value))] == [537, 1133]


def test_keys_are_derived_as_the_application_derives_them() -> None:
    assert env_key("lab-master-key-2025").key_id == "env_29ff1401"
    assert env_key("lab-master-key-2025").text == "KyATvNTYoqFAaDhcUevpKgkT8Vt--34U14weY4vxpGk="
    token = "gAAAAABrApn7JZT0iexjklxsSXCT5ZNJN50ZtNZx8qPAueQOmO_cbjXZOJbdlbCnrJFuJf8xeIjWPdTlZABpGM7l6F4vKf9-2Q=="
    assert Fernet(default_key("lab-master-key-2025").text).decrypt(token) == b"Env!0#pass word"
    assert env_key("test-key").material == head_key("test-key" + "0" * 24, "netraven.credential.store").material
    assert env_key("sixteen letters!").material == head_key("sixteen letters!", "netraven.credential.store").material
    assert head_key("test-key", "netraven_salt").material != head_key("test-key", "other").material


def test_an_envelope_is_written_with_the_key_order_and_blanks_of_the_application() -> None:
    token = "gAAAAA=="
    payload = base64.b64encode(token.encode()).decode()
    assert dress(token, "default") == f'{{"key_id": "default", "encrypted_data": "{payload}", "version": "1.0"}}'
    assert dress(token, "a", "compact") == f'{{"key_id":"a","encrypted_data":"{payload}","version":"1.0"}}'
    assert list(json.loads(dress(token, "a", "no_key_id"))) == ["encrypted_data", "version"]
    assert list(json.loads(dress(token, "a", "no_version"))) == ["key_id", "encrypted_data"]
    assert dress(token, "a", "blanks").strip() == dress(token, "a")
    assert json.loads(dress(token, "a", "not_base64_again"))["encrypted_data"] == token


def test_a_wrapped_password_is_lost_when_one_of_its_keys_is(pen: Pen) -> None:
    kept, lost = default_key("kept"), default_key("lost", known=False)
    assert pen.wrap(pen.envelope("x", kept), kept).recoverable
    assert not pen.wrap(pen.envelope("x", lost), kept).recoverable
    assert not pen.wrap(pen.envelope("x", kept), lost).recoverable
    assert pen.wrap(pen.envelope("x", kept), kept).encoding == "envelope:default(envelope:default)"


def test_a_repr_shows_no_password_and_no_key(pen: Pen) -> None:
    key = default_key("canary key string")
    assert key.text not in repr(key)
    assert "canary" not in repr(plaintext("canary password"))
