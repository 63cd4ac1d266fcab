"""One key of the ring: a public name, and bytes that are derived when first needed."""

import base64
from collections.abc import Sequence
from typing import NoReturn

from cryptography.fernet import Fernet, InvalidToken

from credstore_pipeline.core.keys.derivations import Derivation, pbkdf2_env_key, pbkdf2_head_key, sha256_key
from credstore_pipeline.core.keys.tokens import TokenOpener

DEFAULT = "default"
"""Key id of the target key, and the name that envelopes give to any key string's sha256 key."""

WireKey = tuple[str, str, str | None, str | None, bytes | None, bool]
"""(key id, derivation, key string, salt, derived bytes, implied), for a worker's pipe alone."""


class Key:
    """A Fernet key under its public name.

    Attributes:
        key_id: The public name; together with `derivation` it names one key of a ring.
        derivation: How its bytes come about.
        implied: True for the application's published default, which nobody configured.
    """

    def __init__(
        self,
        key_id: str,
        derivation: Derivation,
        *,
        string: str | None = None,
        salt: str | None = None,
        material: bytes | None = None,
        implied: bool = False,
    ) -> None:
        """Name a key; `string` (and `salt`) if it is still to be derived, `material` if it is known."""
        self.key_id, self.derivation, self.implied = key_id, derivation, implied
        self._string, self._salt, self._material = string, salt, material
        self._fernet: Fernet | None = None
        self._opener: TokenOpener | None = None

    def material(self) -> bytes:
        """Return the 32 bytes, derived at most once."""
        if self._material is None:
            string = self._string or ""
            if self.derivation is Derivation.PBKDF2_ENV:
                self._material = pbkdf2_env_key(string)
            elif self.derivation is Derivation.PBKDF2_HEAD:
                self._material = pbkdf2_head_key(string, self._salt or "")
            else:
                self._material = sha256_key(string)
        return self._material

    def open(self, token: bytes) -> bytes | None:
        """Return what the token seals, or None if this key does not authenticate it. Ignores its age."""
        try:
            return self._cipher().decrypt(token)
        except InvalidToken:
            return None

    def open_many(self, raw: Sequence[bytes]) -> list[bytes | None]:
        """Return what `open` says of each token, for tokens that `tokens.decoded` decoded."""
        if self._opener is None:
            self._opener = TokenOpener(self.material())
        return self._opener.open(raw)

    def seal(self, plaintext: bytes) -> bytes:
        """Return a fresh token around the plaintext."""
        return self._cipher().encrypt(plaintext)

    def wire(self) -> WireKey:
        """Return what a worker needs to hold the same key; bytes that are derived go along."""
        return self.key_id, self.derivation.value, self._string, self._salt, self._material, self.implied

    @classmethod
    def from_wire(cls, wire: WireKey) -> "Key":
        """Return the key that `wire` described."""
        key_id, derivation, string, salt, material, implied = wire
        return cls(key_id, Derivation(derivation), string=string, salt=salt, material=material, implied=implied)

    def _cipher(self) -> Fernet:
        if self._fernet is None:
            self._fernet = Fernet(base64.urlsafe_b64encode(self.material()))
        return self._fernet

    def __repr__(self) -> str:
        """Show the public name alone."""
        return f"Key({self.key_id}, {self.derivation.value})"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: whatever pickles a key by accident would store it in clear."""
        raise TypeError("keys are not pickled")
