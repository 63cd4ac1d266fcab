"""From a key string to the 32 bytes of a Fernet key, as each generation of the application derived them.

Formats: docs/legacy-formats.md, "Encodings".
"""

import base64
import binascii
import hashlib
from enum import StrEnum
from functools import lru_cache

ENV_SALT = "netraven.credential.store"
"""Salt of the key manager's PBKDF2, for keys from the environment and for backup passwords."""

HEAD_SALTS = (
    "netraven_salt",
    "prod_encryption_salt_replace_in_production",
    "dev_encryption_salt_replace_in_production",
)
"""Salts that the newest application ships with: its default, and those of its two compose files."""

PUBLISHED_KEY = "netraven-dev-key"
"""The key string that the application's compose file falls back to; anyone can know it."""

_ROUNDS = 100_000
_SHORT = 16
_PADDED = 32


class Derivation(StrEnum):
    """How the bytes of a key came about."""

    SHA256 = "sha256"
    PBKDF2_ENV = "pbkdf2_env"
    PBKDF2_HEAD = "pbkdf2_head"
    RAW = "raw"
    FILE = "file"
    BACKUP = "backup"


def sha256_key(string: str) -> bytes:
    """Return the key of bare tokens and of envelopes `default`: one round, no salt."""
    return hashlib.sha256(string.encode()).digest()


def pbkdf2_env_key(string: str) -> bytes:
    """Return the key of envelopes `env_<8>`; a string under 16 characters is padded with `0` to 32."""
    padded = string if len(string) >= _SHORT else string.ljust(_PADDED, "0")
    return _pbkdf2(padded.encode(), ENV_SALT.encode())


def pbkdf2_head_key(string: str, salt: str) -> bytes:
    """Return the key of the newest application's bare tokens; nothing is padded."""
    return _pbkdf2(string.encode(), salt.encode())


def env_key_id(string: str) -> str:
    """Return the key id `env_<8>` that the key manager writes into envelopes for this string."""
    return f"env_{hashlib.sha256(string.encode()).hexdigest()[:8]}"


def raw_key(text: str) -> bytes | None:
    """Return the 32 bytes of a Fernet key in its own text form, or None if the text is none.

    Only the canonical 44 characters count: a key string that merely decodes is a key string.
    """
    if len(text) != 44 or not text.isascii():
        return None
    try:
        material = base64.urlsafe_b64decode(text)
    except binascii.Error:
        return None
    return material if base64.urlsafe_b64encode(material).decode() == text and len(material) == 32 else None


@lru_cache(maxsize=1024)
def _pbkdf2(password: bytes, salt: bytes) -> bytes:
    """Derive 32 bytes, once a process for each pair: one derivation takes 30 to 100 ms."""
    return hashlib.pbkdf2_hmac("sha256", password, salt, _ROUNDS, 32)
