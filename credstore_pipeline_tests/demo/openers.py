"""Opens stored passwords with the reference implementation of Fernet, for comparison with what a store claims."""

import base64
import binascii
import hashlib
import json

from cryptography.fernet import Fernet, InvalidToken

from credstore_pipeline.demo.stores import Store

SALTS = (b"netraven_salt", b"prod_encryption_salt_replace_in_production")


def candidates(store: Store) -> list[Fernet]:
    """Every key that an operator with the store's files and its env.json can make."""
    env = store.env
    strings = [env["encryption_key"], *env.get("source_keys", [])]
    keys: list[bytes | str] = []
    for text in filter(None, strings):
        keys.append(base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()))
        for salt, given in ((b"netraven.credential.store", _filled(text)), *((salt, text) for salt in SALTS)):
            keys.append(base64.urlsafe_b64encode(hashlib.pbkdf2_hmac("sha256", given.encode(), salt, 100_000)))
        if len(text) == 44:
            keys.append(text)
    if env.get("key_dir"):
        keys += [file.read_text() for file in sorted((store.folder / env["key_dir"]).glob("*.key"))]
    if env.get("key_backup"):
        keys += open_backup(store)["keys"].values()
    return [Fernet(key) for key in keys]


def open_backup(store: Store) -> dict:
    """The inside of the store's key backup."""
    backup = json.loads((store.folder / store.env["key_backup"]).read_text())
    word = _filled(store.env["key_backup_password"]).encode()
    key = hashlib.pbkdf2_hmac("sha256", word, b"netraven.credential.store", 100_000)
    return json.loads(Fernet(base64.urlsafe_b64encode(key)).decrypt(backup["encrypted_data"]))


def _filled(text: str) -> str:
    return text + "0" * (32 - len(text)) if len(text) < 16 else text


def peel(value: bytes, keys: list[Fernet]) -> bytes:
    """What is left when no key opens a further layer."""
    while True:
        inner = _one_layer(value, keys)
        if inner is None:
            return value
        value = inner


def _one_layer(value: bytes, keys: list[Fernet]) -> bytes | None:
    token = value
    try:
        found = json.loads(value)
        token = base64.b64decode(found["encrypted_data"])
    except (ValueError, TypeError, KeyError, binascii.Error):
        pass
    for key in keys:
        try:
            return key.decrypt(token)
        except InvalidToken:
            continue
    return None
