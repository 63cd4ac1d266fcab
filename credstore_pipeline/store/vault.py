"""Where the store opens and seals passwords: ciphertext never leaves it as a password, plaintext never enters SQL."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from credstore_pipeline.core.deployment import KeyMaterial
from credstore_pipeline.core.errors import KeyRingError, SecretUnopenable
from credstore_pipeline.core.keys.ring import KeyRing, build_ring
from credstore_pipeline.core.secrets.opening import Opened, is_text, open_as_sealed, peel
from credstore_pipeline.core.secrets.sealing import seal
from credstore_pipeline.core.secrets.shapes import shape_of
from credstore_pipeline.store.errors import NOTHING_CHANGED, ValueRefused
from credstore_pipeline.store.values import checked_password

_SHOWN = 8


class Vault:
    """Opens under every key of its ring, seals under the primary key alone."""

    def __init__(self, ring: KeyRing) -> None:
        """Hold the ring."""
        self._ring = ring

    def seal(self, password: str | None) -> str | None:
        """Return the password as the application's envelope `default`; None for none, which '' is as well.

        Raises:
            ValueRefused: If it cannot be sealed, or has the shape of ciphertext: a reader would take it for
                sealed once more than it is.
        """
        if not password and (password is None or isinstance(password, str)):
            return None
        plaintext = checked_password(password)
        if shape_of(plaintext) is not None:
            raise ValueRefused(
                "credentials.password",
                "it has the shape of ciphertext.",
                state=NOTHING_CHANGED,
                todo="Was a stored value sent back instead of a password?",
            )
        return seal(plaintext, self._ring)

    def open(self, stored: str | None, credential_id: str) -> str | None:
        """Return the password that a row holds; None for NULL and ''.

        Raises:
            SecretUnopenable: If no key opens it. Never returns ciphertext.
        """
        if not stored:
            return None
        plaintext = open_as_sealed(stored, self._ring)
        if plaintext is not None:
            try:
                return plaintext.decode() or None
            except UnicodeDecodeError:
                raise self.unopenable([credential_id]) from None
        opened = self.peel(stored)
        if opened.plaintext is None:
            raise self.unopenable([credential_id])
        return opened.plaintext.decode() or None

    def peel(self, stored: str | None) -> Opened:
        """Open every layer; `plaintext` is None, for a stored password, if that is not possible or gives no text."""
        opened = peel(None if stored is None else stored.encode(), self._ring)
        if opened.plaintext is not None and not is_text(opened.plaintext):
            return opened._replace(plaintext=None)
        return opened

    def seal_again(self, opened: Opened) -> str:
        """Return what was opened, sealed under the primary key."""
        if opened.plaintext is None:
            raise ValueError("nothing was opened")
        return seal(opened.plaintext, self._ring)

    def unopenable(self, credential_ids: Sequence[str]) -> SecretUnopenable:
        """Build the error for rows that no key opens: their ids, and which keys were tried."""
        shown = ", ".join(credential_ids[:_SHOWN])
        more = len(credential_ids) - _SHOWN
        return SecretUnopenable(
            f"credentials id={shown}" + (f" and {more} more" if more > 0 else ""),
            f"no key of this store opens the password (tried {_public(self._ring.tried())}).",
            state=NOTHING_CHANGED,
            todo="Give the key that sealed it as encryption_key, in retired_keys or in key_dir; or set a new password.",
        )

    @staticmethod
    def name_of(opened: Opened) -> str:
        """Name what sealed a row, for counts: a key's public id, or how it stands if no key did."""
        return _public(opened.key.key_id) if opened.key else opened.encoding.value

    def __repr__(self) -> str:
        """Show nothing of the keys."""
        return "Vault()"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: that would store the keys in clear."""
        raise TypeError("a vault is not pickled")


def open_vault(encryption_key: str | None, retired_keys: Sequence[str], key_dir: Path | None) -> Vault:
    """Return the vault that seals under one key and opens under all.

    Raises:
        KeyRingError: If there is no key to seal with; plaintext is never written.
    """
    if isinstance(retired_keys, (str, bytes)):
        raise KeyRingError("retired_keys", "is one text, not a list of keys.", state=NOTHING_CHANGED)
    if not encryption_key:
        raise KeyRingError(
            "credential store",
            "no key to seal with; plaintext is never written.",
            state=NOTHING_CHANGED,
            todo="Give encryption_key, or set NETRAVEN_ENCRYPTION_KEY.",
        )
    material = KeyMaterial(target_key=encryption_key, source_keys=tuple(retired_keys), key_dir=key_dir)
    return Vault(build_ring(material))


def _public(names: str) -> str:
    return names.replace("source_keys[", "retired_keys[")
