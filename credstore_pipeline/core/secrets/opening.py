"""Opening a stored password through every layer that was sealed around it.

Rules: docs/legacy-formats.md, "Wrapped more than once".
"""

from typing import NamedTuple

from credstore_pipeline.core.errors import SecretUnopenable
from credstore_pipeline.core.keys.directory import is_application_id
from credstore_pipeline.core.keys.key import DEFAULT, Key
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.secrets.shapes import Encoding, shape_of


class Opened(NamedTuple):
    """What came of peeling one stored password.

    Attributes:
        plaintext: The password's bytes; None for NULL, or if a layer has the shape of ciphertext and no
            key opens it.
        encoding: How it was stored.
        layers: How many layers were opened.
        key: The key of the outermost layer, if that opened.
        missing: The key id that the layer which did not open names, if it is one of the application's.
        exact: True if the stored text is already the target's form: one layer, an envelope `default`
            exactly as the application writes it, under the ring's primary key.
    """

    plaintext: bytes | None
    encoding: Encoding
    layers: int = 0
    key: Key | None = None
    missing: str | None = None
    exact: bool = False

    def __repr__(self) -> str:
        """Show how it was sealed, never what."""
        return f"Opened({self.encoding.value}, layers={self.layers}, key={self.key})"


_NULL = Opened(None, Encoding.NULL)
_EMPTY = Opened(b"", Encoding.EMPTY)


def unsealed(stored: bytes | None) -> Opened:
    """Return what is stored without a layer around it."""
    if not stored:
        return _NULL if stored is None else _EMPTY
    return Opened(stored, Encoding.PLAINTEXT)


def told_key(named: str | None) -> str | None:
    """Return the key id that a closed layer names, if it is one of the application's and may be shown."""
    return named if named is not None and (named == DEFAULT or is_application_id(named)) else None


def peel(stored: bytes | None, ring: KeyRing) -> Opened:
    """Open layer after layer until what is left has no shape of ciphertext; never raises.

    What comes out is bytes: that they are UTF-8 is the caller's to check.
    """
    sealed = shape_of(stored) if stored else None
    if sealed is None:
        return unsealed(stored)
    encoding, exact = sealed.encoding, sealed.exact
    layers, outermost = 0, None
    while sealed is not None:
        found = ring.open(sealed.token, sealed.named)
        if found is None:
            return Opened(None, encoding, layers, outermost, told_key(sealed.named))
        key, text = found
        outermost = outermost or key
        layers += 1
        sealed = shape_of(text)
    return Opened(text, encoding, layers, outermost, None, exact and layers == 1 and outermost is ring.primary)


def peel_primary(stored: bytes | None, ring: KeyRing) -> Opened:
    """Open what is NULL, empty or exactly in the target's form; anything else comes without plaintext.

    The target's form is one layer: an envelope `default` as the application writes it, under the primary
    key, around a password that has no shape of ciphertext itself.
    """
    if not stored:
        return unsealed(stored)
    sealed = shape_of(stored)
    if sealed is None:
        return Opened(None, Encoding.PLAINTEXT)
    plaintext = ring.primary.open(sealed.token) if sealed.exact else None
    if plaintext is None:
        return Opened(None, sealed.encoding)
    final = shape_of(plaintext) is None
    return Opened(plaintext if final else None, sealed.encoding, 1, ring.primary, None, final)


def open_as_sealed(stored: str, ring: KeyRing) -> bytes | None:
    """Open one envelope `default` under the primary key, quicker than `peel`; None for anything else.

    For readers of many rows in the target's form: what comes out is what `peel` says, and whoever gets None asks it.
    """
    sealed = shape_of(stored.encode("utf-8", "surrogatepass")) if stored else None
    if sealed is None or not sealed.exact:
        return None
    plaintext = ring.primary.open(sealed.token)
    return plaintext if plaintext is not None and shape_of(plaintext) is None else None


def open_secret(stored: str | bytes, ring: KeyRing, row: str) -> Opened:
    """Open one stored password, through as many layers as were sealed.

    Args:
        stored: The password column, in any legacy encoding (docs/legacy-formats.md, "Encodings").
        ring: Tried in its order, the key that an envelope names first.
        row: Where it stands (`credentials id=…`); the only evidence an error shows.

    Returns:
        The opened password; `plaintext` is never None and always UTF-8.

    Raises:
        SecretUnopenable: If a layer is shaped like ciphertext and no key in the ring authenticates it,
            or what comes out is no UTF-8. Never returns ciphertext as a password.
    """
    opened = peel(stored.encode("utf-8", "surrogatepass") if isinstance(stored, str) else stored, ring)
    if opened.plaintext is None:
        named = f", which names {opened.missing}" if opened.missing else ""
        inside = f"{opened.layers} layers open, and " if opened.layers else ""
        raise SecretUnopenable(
            row,
            f"{inside}no key in the ring opens this password{named} (tried {ring.tried()}).",
            todo="Add the missing key to CREDSTORE_SOURCE_KEYS, CREDSTORE_KEY_DIR or CREDSTORE_KEY_BACKUP.",
        )
    if not is_text(opened.plaintext):
        raise SecretUnopenable(row, "this password is no UTF-8 text.", todo="Set it anew in the application.")
    return opened


def is_text(plaintext: bytes) -> bool:
    """Tell whether the bytes are valid UTF-8, as the application demands of every password."""
    if plaintext.isascii():
        return True
    try:
        plaintext.decode()
    except UnicodeDecodeError:
        return False
    return True
