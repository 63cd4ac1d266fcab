"""What is ciphertext, by structure alone: a token, or an envelope around one.

Formats: docs/legacy-formats.md, "Encodings". Nothing here needs a key. A text that merely looks like
JSON or starts like a token has no such shape: it is a password.
"""

import base64
import binascii
import json
import re
from enum import StrEnum
from typing import NamedTuple

from credstore_pipeline.core.keys.tokens import decoded


class Encoding(StrEnum):
    """How a password column holds its password."""

    NULL = "null"
    EMPTY = "empty"
    PLAINTEXT = "plaintext"
    TOKEN = "token"
    ENVELOPE = "envelope"


class Sealed(NamedTuple):
    """One layer of ciphertext.

    Attributes:
        encoding: TOKEN or ENVELOPE.
        token: The canonical token text.
        named: The key id in the envelope; None if it has none, or none that is text.
        exact: True for the target's form: byte for byte an envelope `default` as the application writes it.
    """

    encoding: Encoding
    token: bytes
    named: str | None
    exact: bool

    def __repr__(self) -> str:
        """Show the encoding alone."""
        return f"Sealed({self.encoding.value})"


HEAD, TAIL = b'{"key_id": "default", "encrypted_data": "', b'", "version": "1.0"}'
"""What the application writes around a payload."""

_APPLICATION_LAYOUT = re.compile(
    rb'\{"key_id": "([A-Za-z0-9_\-]{1,64})", "encrypted_data": "([A-Za-z0-9+/]+={0,2})", "version": "1\.0"\}'
)
_JSON_BLANKS = b" \t\r\n"


def shape_of(text: bytes) -> Sealed | None:
    """Return the outermost layer of ciphertext, or None if the text has no shape of ciphertext."""
    first = text[:1]
    if first == b"g":
        return Sealed(Encoding.TOKEN, text, None, False) if is_token(text) else None
    if first == b"{":
        if text.startswith(HEAD) and text.endswith(TAIL):
            # What nearly every row is, seen without reading it letter by letter.
            payload = text[len(HEAD) : -len(TAIL)]
            token = _token_in(payload)
            if token is not None and token != payload:
                return Sealed(Encoding.ENVELOPE, token, "default", True)
        written = _APPLICATION_LAYOUT.fullmatch(text)
        if written:
            name, payload = written.groups()
            token = _token_in(payload)
            if token is None:
                return None
            # The application's payload is base64 once more; a bare token in it is not its doing.
            return Sealed(Encoding.ENVELOPE, token, name.decode(), name == b"default" and token != payload)
    elif first not in (b" ", b"\t", b"\r", b"\n"):
        return None
    return _envelope(text)


def is_token(text: bytes) -> bool:
    """Tell whether the text is a token: canonical urlsafe base64 of 0x80 and 57 + 16k >= 73 bytes in all."""
    raw = decoded(text)
    # Decoding skips junk and drops bits: only the one canonical text of these bytes counts.
    return raw is not None and base64.urlsafe_b64encode(raw) == text


def _token_in(payload: bytes) -> bytes | None:
    """Return the token that an envelope's payload carries: in canonical standard base64, or bare."""
    if payload[:1] == b"g":
        return payload if is_token(payload) else None
    try:
        token = binascii.a2b_base64(payload)
    except binascii.Error:
        return None
    # Decoding skips junk: only the one canonical text of a token counts.
    return token if is_token(token) and binascii.b2a_base64(token, newline=False) == payload else None


def _envelope(text: bytes) -> Sealed | None:
    """Read an envelope in any JSON layout. Its payload alone decides, as the application reads it."""
    bare = text.strip(_JSON_BLANKS)
    if not (bare.startswith(b"{") and bare.endswith(b"}")):
        return None
    try:
        content = json.loads(text.decode())
    except (ValueError, RecursionError):
        # ValueError: no JSON, no UTF-8, or an integer beyond Python's limit of digits.
        return None
    payload, named = content.get("encrypted_data"), content.get("key_id")
    if not isinstance(payload, str) or not payload.isascii():
        return None
    token = _token_in(payload.encode())
    if token is None:
        return None
    return Sealed(Encoding.ENVELOPE, token, named if isinstance(named, str) else None, False)
