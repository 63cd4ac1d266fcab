"""Writes every password encoding that a legacy store may hold (docs/legacy-formats.md, "Encodings").

Independent of the reader in `core/`: tokens are put together from AES and HMAC here, so that their time and
initialisation vector can be given and a store is the same bytes each time it is made.
"""

import base64
import functools
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from credstore_pipeline.demo.grains import Grains

STORE_SALT = "netraven.credential.store"
HEAD_SALTS = ("netraven_salt", "prod_encryption_salt_replace_in_production")
ROUNDS = 100_000
FIRST_TOKEN_TIME = 1_742_457_600
"""Seconds: 20 March 2025, 08:00 UTC. Each further token is a second younger."""

Style = Literal["application", "compact", "no_version", "no_key_id", "blanks", "reordered", "not_base64_again"]


@dataclass(frozen=True, repr=False)
class FernetKey:
    """A key with its public id, and whether whoever migrates the store will have it."""

    key_id: str
    material: bytes = field(repr=False)
    known: bool = True

    @property
    def text(self) -> str:
        """The 44 characters that a key file holds."""
        return base64.urlsafe_b64encode(self.material).decode()


@dataclass(frozen=True, repr=False)
class Stored:
    """One value of the password column and what it means.

    Attributes:
        value: As SQLite gets it.
        meaning: The password; None for NULL and for bytes that are no text.
        encoding: How it is written, outermost layer first: `envelope:key_1a2b3c4d(envelope:default)`.
        recoverable: Whether somebody with the store's keys can tell the password.
    """

    value: object
    meaning: str | None
    encoding: str
    recoverable: bool = True


@functools.cache
def pbkdf2(key_string: str, salt: str) -> bytes:
    """The 32 bytes of PBKDF2-HMAC-SHA256 over a key string."""
    return hashlib.pbkdf2_hmac("sha256", key_string.encode(), salt.encode(), ROUNDS, 32)


def padded(key_string: str) -> str:
    """The key string as the application's key manager takes it: short ones filled with zeros to 32 characters."""
    return key_string.ljust(32, "0") if len(key_string) < 16 else key_string


def default_key(key_string: str, *, known: bool = True) -> FernetKey:
    """The key of bare tokens and of envelopes `default`: one round of SHA-256."""
    return FernetKey("default", hashlib.sha256(key_string.encode()).digest(), known)


def env_key(key_string: str, *, known: bool = True) -> FernetKey:
    """The key manager's key made from the environment variable."""
    name = "env_" + hashlib.sha256(key_string.encode()).hexdigest()[:8]
    return FernetKey(name, pbkdf2(padded(key_string), STORE_SALT), known)


def head_key(key_string: str, salt: str, *, known: bool = True) -> FernetKey:
    """The key of the application's newest version, which pads nothing and takes its salt from the configuration."""
    return FernetKey("head", pbkdf2(key_string, salt), known)


def file_key(grains: Grains, label: str, *, known: bool = True) -> FernetKey:
    """A generated key, as the key directory keeps them."""
    return FernetKey("key_" + grains.hex(f"key id/{label}"), grains.bytes(f"key/{label}", 32), known)


@dataclass
class Pen:
    """Writes values of the password column; tokens differ by time and vector, and are the same in each making."""

    grains: Grains
    written: int = 0

    def token(self, plain: bytes, key: FernetKey) -> str:
        """A Fernet token: version, time, vector, AES-128-CBC, HMAC-SHA256, as urlsafe base64."""
        self.written += 1
        vector = self.grains.bytes(f"vector/{self.written}", 16)
        padder = PKCS7(128).padder()
        cipher = Cipher(algorithms.AES(key.material[16:]), modes.CBC(vector)).encryptor()
        sealed = cipher.update(padder.update(plain) + padder.finalize()) + cipher.finalize()
        signed = b"\x80" + (FIRST_TOKEN_TIME + self.written).to_bytes(8) + vector + sealed
        return base64.urlsafe_b64encode(signed + hmac.digest(key.material[:16], signed, "sha256")).decode()

    def bare(self, text: str | bytes, key: FernetKey) -> Stored:
        """A token alone."""
        name = "head-fernet" if key.key_id == "head" else "bare-fernet"
        return Stored(self.token(_bytes(text), key), _text(text), name, key.known and _text(text) is not None)

    def envelope(
        self, text: str | bytes, key: FernetKey, style: Style = "application", key_id: str | None = None
    ) -> Stored:
        """A token in the JSON that names its key; `key_id` lets the name be wrong."""
        name = key_id or key.key_id
        value = dress(self.token(_bytes(text), key), name, style)
        encoding = f"envelope:{name}" + ("" if style == "application" else f"/{style}")
        return Stored(value, _text(text), encoding, key.known and _text(text) is not None)

    def wrap(self, inner: Stored, key: FernetKey, style: Style = "application") -> Stored:
        """Seal what is stored once more, as a rotation does that could not open it."""
        if not isinstance(inner.value, str):
            raise TypeError("only text can be wrapped")
        outer = self.envelope(inner.value, key, style)
        return Stored(
            outer.value, inner.meaning, f"{outer.encoding}({inner.encoding})", inner.recoverable and key.known
        )

    def wrap_bare(self, inner: Stored, key: FernetKey) -> Stored:
        """Seal what is stored once more, in a bare token."""
        value = self.token(str(inner.value).encode(), key)
        return Stored(value, inner.meaning, f"bare-fernet({inner.encoding})", inner.recoverable and key.known)

    def key_backup(self, keys: list[FernetKey], backup_password: str, active: str | None, at: datetime) -> str:
        """The text of an exported key backup file, sealed under its own password."""
        inside = {
            "keys": {key.key_id: key.text for key in keys},
            "metadata": {key.key_id: {"id": key.key_id, "source": key_source(key)} for key in keys},
            "active_key_id": active,
            "created_at": at.isoformat(),
        }
        sealer = FernetKey("backup", pbkdf2(padded(backup_password), STORE_SALT))
        sealed = self.token(json.dumps(inside).encode(), sealer)
        return json.dumps({"format": "netraven_key_backup", "version": "1.0", "encrypted_data": sealed})


def dress(token: str, key_id: str, style: Style = "application") -> str:
    """A token as an envelope, exactly as the application writes it or in one of the shapes met beside that."""
    payload = token if style == "not_base64_again" else base64.b64encode(token.encode()).decode()
    parts = {"key_id": key_id, "encrypted_data": payload, "version": "1.0"}
    if style == "no_key_id":
        del parts["key_id"]
    if style == "no_version":
        del parts["version"]
    if style == "reordered":
        parts = dict(reversed(parts.items()))
    if style == "compact":
        return json.dumps(parts, separators=(",", ":"))
    return f" \n{json.dumps(parts)}\t " if style == "blanks" else json.dumps(parts)


def key_source(key: FernetKey) -> str:
    """What the key manager notes as a key's origin."""
    return "environment" if key.key_id.startswith("env_") else "file"


def null() -> Stored:
    """No password."""
    return Stored(None, None, "null")


def plaintext(text: str) -> Stored:
    """The password as it is; '' is what the application writes for an emptied one."""
    return Stored(text, text, "plaintext" if text else "empty")


def blob(value: bytes, meaning: str | None, encoding: str = "blob") -> Stored:
    """Bytes that SQLite keeps as BLOB; None as meaning for those that are no text."""
    return Stored(value, meaning, encoding, meaning is not None)


def as_blob(stored: Stored) -> Stored:
    """The same text, kept as BLOB."""
    return Stored(str(stored.value).encode(), stored.meaning, f"blob:{stored.encoding}", stored.recoverable)


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def _text(text: str | bytes) -> str | None:
    if isinstance(text, str):
        return text
    try:
        return text.decode()
    except UnicodeDecodeError:
        return None
