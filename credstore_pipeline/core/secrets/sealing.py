"""Sealing a password in the one form that every version of the application reads."""

import binascii

from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.secrets.shapes import HEAD, TAIL


def seal(plaintext: bytes, ring: KeyRing) -> str:
    """Return the password as an envelope `default` under the ring's primary key.

    Byte for byte what the application's json.dumps writes (docs/legacy-formats.md, "Encodings").

    Args:
        plaintext: The password as UTF-8; may be empty and may hold NULs.
        ring: Its primary key seals.
    """
    payload = binascii.b2a_base64(ring.primary.seal(plaintext), newline=False)
    return (HEAD + payload + TAIL).decode("ascii")
