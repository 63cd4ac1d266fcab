"""The target's data key, and the keys derived from it and from the target key: one for each purpose.

The first load makes 32 random bytes and keeps them in the target, wrapped under the target key. What
outlives a run is keyed from them, so that a change of the target key changes no fingerprint.
"""

import os
from enum import StrEnum
from typing import NamedTuple, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from credstore_pipeline.core.errors import TargetKeyChanged
from credstore_pipeline.core.keys.key import Key
from credstore_pipeline.core.keys.ring import KeyRing

KEY_BYTES = 32

_VERSION = b"\x01"
_NONCE_BYTES = 12
_TAG_BYTES = 16
_WRAPPED_BYTES = len(_VERSION) + _NONCE_BYTES + KEY_BYTES + _TAG_BYTES
_ASSOCIATED = b"credstore_pipeline data key, version 1"


class Purpose(StrEnum):
    """What a subkey of the data key is for; the value is its HKDF label, and changing it changes the key."""

    FINGERPRINT = "fingerprint"
    SECRET_FINGERPRINT = "secret fingerprint"
    QUARANTINE = "quarantine"
    CONTENT = "content"
    CONFLICT = "conflict"


class TargetPurpose(StrEnum):
    """What a key derived from the target key is for; the value is its HKDF label."""

    STAGING = "staging"
    SOURCE_DIGEST = "source digest"
    DATA_KEY_WRAP = "data key wrap"


class UnwrappedDataKey(NamedTuple):
    """The data key as it was found.

    Attributes:
        data_key: 32 bytes.
        by_primary: False if a former target key, now among the source keys, unwrapped it.
    """

    data_key: bytes
    by_primary: bool

    def __repr__(self) -> str:
        """Show nothing of the key."""
        return f"UnwrappedDataKey(by_primary={self.by_primary})"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: that would store the key in clear."""
        raise TypeError("a data key is not pickled")


def new_data_key() -> bytes:
    """Return 32 fresh random bytes."""
    return os.urandom(KEY_BYTES)


def subkey(data_key: bytes, purpose: Purpose) -> bytes:
    """Return the data key's subkey for one purpose, 32 bytes; no two purposes share one."""
    return _derive(data_key, f"credstore_pipeline data key / {purpose.value}")


def target_subkey(ring: KeyRing, purpose: TargetPurpose) -> bytes:
    """Return the target key's subkey for one purpose, 32 bytes; it changes with the target key."""
    return _target_subkey(ring.primary, purpose)


def wrap_data_key(data_key: bytes, ring: KeyRing) -> bytes:
    """Return the data key sealed with AES-GCM under a subkey of the target key: 61 bytes."""
    _check(data_key)
    nonce = os.urandom(_NONCE_BYTES)
    cipher = AESGCM(target_subkey(ring, TargetPurpose.DATA_KEY_WRAP))
    return _VERSION + nonce + cipher.encrypt(nonce, data_key, _ASSOCIATED)


def unwrap_data_key(wrapped: bytes, ring: KeyRing) -> UnwrappedDataKey:
    """Return the data key, unwrapped under the target key or a former one.

    A former target key counts if it was configured, as source key or as the application's key; the
    application's published default, which is tried on passwords in any case, does not.

    Raises:
        TargetKeyChanged: If none of them unwraps it, or what was kept is damaged.
    """
    if len(wrapped) == _WRAPPED_BYTES and wrapped[:1] == _VERSION:
        nonce, sealed = wrapped[1 : 1 + _NONCE_BYTES], wrapped[1 + _NONCE_BYTES :]
        for key in ring.sealers:
            try:
                cipher = AESGCM(_target_subkey(key, TargetPurpose.DATA_KEY_WRAP))
                return UnwrappedDataKey(cipher.decrypt(nonce, sealed, _ASSOCIATED), key is ring.primary)
            except InvalidTag:
                continue
    tried = ", ".join(key.key_id for key in ring.sealers)
    raise TargetKeyChanged(
        "credstore_sync.data_key",
        f"no given key unwraps it (tried {tried}): the target was sealed under another target key.",
        todo="Set CREDSTORE_TARGET_KEY to the key of the earlier runs; or, to change keys, add that one to "
        "CREDSTORE_SOURCE_KEYS.",
    )


def _target_subkey(key: Key, purpose: TargetPurpose) -> bytes:
    return _derive(key.material(), f"credstore_pipeline target key / {purpose.value}")


def _derive(key: bytes, label: str) -> bytes:
    _check(key)
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=label.encode()).derive(key)


def _check(key: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key of {len(key)} bytes where {KEY_BYTES} are due")
