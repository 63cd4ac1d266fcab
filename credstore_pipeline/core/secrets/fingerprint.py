"""A password's fingerprint: what it means, bound to its row, under a key of its own.

A module apart from the other columns' fingerprints, because workers make these without pandas.
"""

import hashlib

FINGERPRINT_BYTES = 8
_COLUMN = b"11:credentials8:password"


class SecretFingerprints:
    """Makes fingerprints of passwords under one key, fast enough for bulk."""

    def __init__(self, key: bytes) -> None:
        """Absorb the key and the column's name once.

        Args:
            key: Subkey for this purpose alone, 32 bytes.
        """
        if len(key) != 32:
            raise ValueError("a fingerprint key has 32 bytes")
        self._keyed = hashlib.blake2b(_COLUMN, digest_size=FINGERPRINT_BYTES, key=key)

    def of(self, row_id: str, plaintext: bytes | None) -> bytes:
        """Return the fingerprint, 8 bytes. None stands for NULL, and differs from every text."""
        keyed = self._keyed.copy()
        # A row id may carry what SQLite let in; surrogatepass keeps different ids different.
        row = row_id.encode("utf-8", "surrogatepass")
        keyed.update(b"%d:%bn" % (len(row), row) if plaintext is None else b"%d:%bs%b" % (len(row), row, plaintext))
        return keyed.digest()

    def __repr__(self) -> str:
        """Show nothing of the key."""
        return "SecretFingerprints()"


def secret_fingerprint(key: bytes, row_id: str, plaintext: bytes | None) -> bytes:
    """Return the fingerprint of one row's password: keyed BLAKE2b-64 over (table, row id, column, type, value).

    Args:
        key: Subkey for this purpose alone, 32 bytes.
        row_id: The credential's id.
        plaintext: The password as UTF-8, or None for NULL.
    """
    return SecretFingerprints(key).of(row_id, plaintext)
