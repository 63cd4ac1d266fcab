"""The application's exported key backup."""

import base64
import hashlib
import json
import traceback

import pytest
from cryptography.fernet import Fernet

from credstore_pipeline.core.errors import KeyRingError
from credstore_pipeline.core.keys.backup import read_key_backup
from credstore_pipeline.core.keys.derivations import raw_key
from credstore_pipeline_tests.core.secrets import vectors

CANARY = "canary-in-a-backup-0123456789"


def backup_of(content: object, password: str = "a long enough password") -> str:
    key = hashlib.pbkdf2_hmac("sha256", password.encode(), b"netraven.credential.store", 100_000, 32)
    sealed = Fernet(base64.urlsafe_b64encode(key)).encrypt(json.dumps(content).encode()).decode()
    return json.dumps({"format": "netraven_key_backup", "version": "1.0", "encrypted_data": sealed})


def test_a_backup_gives_its_keys_by_id(tmp_path):
    path = tmp_path / "backup.json"
    path.write_text(vectors.BACKUP)
    keys = read_key_backup(path, vectors.BACKUP_PASSWORD)
    assert list(keys) == [vectors.FILE_KEY_ID, "env_a2a06e3b"]
    assert keys[vectors.FILE_KEY_ID] == raw_key(vectors.RAW_KEY)


def test_a_wrong_password_is_said_and_not_shown(tmp_path):
    path = tmp_path / "backup.json"
    path.write_text(vectors.BACKUP)
    with pytest.raises(KeyRingError, match=r"the password does not open backup\.json") as caught:
        read_key_backup(path, CANARY)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("password", [None, ""])
def test_a_missing_password_is_said(tmp_path, password):
    with pytest.raises(KeyRingError, match="CREDSTORE_KEY_BACKUP_PASSWORD: is missing"):
        read_key_backup(tmp_path / "backup.json", password)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(KeyRingError, match=r"CREDSTORE_KEY_BACKUP: backup\.json cannot be read"):
        read_key_backup(tmp_path / "backup.json", "password")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"format": "something else", "encrypted_data": "x"}',
        b'{"format": "netraven_key_backup", "version": "1.0"}',
        b'{"format": "netraven_key_backup", "encrypted_data": 5}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_backup_is_said_to_be_none(tmp_path, content):
    path = tmp_path / "backup.json"
    path.write_bytes(content)
    with pytest.raises(KeyRingError, match=r"backup\.json is no netraven_key_backup file"):
        read_key_backup(path, "a long enough password")


@pytest.mark.parametrize("sealed", ["", "\ud800", "é", CANARY, "gAAAAA"])
def test_a_mangled_payload_is_told_from_nothing_else_than_a_wrong_password(tmp_path, sealed):
    path = tmp_path / "backup.json"
    path.write_text(json.dumps({"format": "netraven_key_backup", "encrypted_data": sealed}))
    with pytest.raises(KeyRingError, match="does not open") as caught:
        read_key_backup(path, "a long enough password")
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("keys", [None, [], "text"])
def test_a_backup_without_keys_is_said_to_have_none(tmp_path, keys):
    path = tmp_path / "backup.json"
    path.write_text(backup_of({"keys": keys}))
    with pytest.raises(KeyRingError, match="lists no keys"):
        read_key_backup(path, "a long enough password")


@pytest.mark.parametrize("text", [CANARY, None, 5, ""])
def test_an_entry_that_is_no_key_is_counted_and_not_shown(tmp_path, text):
    path = tmp_path / "backup.json"
    path.write_text(backup_of({"keys": {"key_00000001": vectors.RAW_KEY, CANARY: text}}))
    with pytest.raises(KeyRingError, match="entry 2 of backup") as caught:
        read_key_backup(path, "a long enough password")
    assert CANARY not in str(caught.value)


def test_a_key_under_an_id_that_the_application_never_made_goes_by_its_position(tmp_path):
    path = tmp_path / "backup.json"
    path.write_text(backup_of({"keys": {CANARY: vectors.RAW_KEY}}))
    assert list(read_key_backup(path, "a long enough password")) == ["backup:1"]
