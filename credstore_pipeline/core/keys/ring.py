"""The key ring: which keys may open a password, in which order, and the one that seals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NoReturn

from credstore_pipeline.core.keys.derivations import Derivation
from credstore_pipeline.core.keys.gather import gather
from credstore_pipeline.core.keys.key import Key, WireKey
from credstore_pipeline.core.keys.tokens import decoded

if TYPE_CHECKING:
    # Workers import this module, and deployment.py imports SQLAlchemy.
    from credstore_pipeline.core.deployment import KeyMaterial

_SHOWN_KEYS = 8
_DERIVED_SLOWLY = (Derivation.PBKDF2_ENV, Derivation.PBKDF2_HEAD)


def build_ring(material: KeyMaterial) -> KeyRing:
    """Read all key material into a ring whose primary key is the target key under sha256.

    How keys are named publicly: `credstore_pipeline.core.keys.gather.gather`. PBKDF2 is run only to open
    a key backup.

    Raises:
        KeyRingError: If the target key is missing, a string is no valid Unicode, or the key directory
            or key backup cannot be read.
    """
    return KeyRing(*gather(material))


class KeyRing:
    """Ordered keys, the primary first.

    A token is tried under the keys that its envelope names, then under the others in ring order: sha256
    of each key string; raw Fernet keys, the key directory, the key backup; PBKDF2 as the key manager
    derives; PBKDF2 as the newest application derives, for each salt. Slow derivations stand last and
    are made only when a token gets that far.

    Attributes:
        keys: All keys, in that order.
        warnings: What looks wrong about the key material; sentences that are safe to show.
    """

    def __init__(self, keys: Sequence[Key], warnings: Iterable[str] = ()) -> None:
        """Keep the keys in this order; the first one seals."""
        self.keys = tuple(keys)
        self.warnings = tuple(warnings)
        self._names = {key.key_id for key in self.keys}
        self._orders: dict[str | None, tuple[Key, ...]] = {None: self.keys}

    @property
    def primary(self) -> Key:
        """The key that seals in the target: its key string's sha256, key id `default`."""
        return self.keys[0]

    @property
    def sealers(self) -> tuple[Key, ...]:
        """Keys that may have been the target key of an earlier run: sha256 of every configured string."""
        return tuple(key for key in self.keys if key.derivation is Derivation.SHA256 and not key.implied)

    def open(self, token: bytes, named: str | None = None) -> tuple[Key, bytes] | None:
        """Return the one key that authenticates the token, and what it seals; None if no key does.

        Args:
            token: Canonical token text.
            named: The key id in the token's envelope, if it has one.
        """
        name = named if named in self._names else None
        order = self._orders.get(name) or self._order(name)
        for position, key in enumerate(order):
            plaintext = key.open(token)
            if plaintext is not None:
                if position:
                    # The next row is likely sealed alike. Which key opens a token does not hang on the
                    # order; a new tuple, because another thread may walk the old one.
                    self._orders[name] = (key, *order[:position], *order[position + 1 :])
                return key, plaintext
        return None

    def open_many(self, tokens: Sequence[bytes], named: Sequence[str | None]) -> list[tuple[Key, bytes] | None]:
        """Return what `open` says of each token and the name beside it, all tokens under one key at a time."""
        found: list[tuple[Key, bytes] | None] = [None] * len(tokens)
        groups: dict[str | None, list[tuple[int, bytes]]] = {}
        for place, (token, name) in enumerate(zip(tokens, named, strict=True)):
            raw = decoded(token)
            if raw is not None:
                groups.setdefault(name if name in self._names else None, []).append((place, raw))
        for name, group in groups.items():
            left = group
            order = self._orders.get(name) or self._order(name)
            for key in order:
                opened = key.open_many([raw for _, raw in left])
                for (place, _), plaintext in zip(left, opened, strict=True):
                    if plaintext is not None:
                        found[place] = key, plaintext
                left = [one for one, plaintext in zip(left, opened, strict=True) if plaintext is None]
                # A key whose derivation is slow is derived only for a token that gets that far.
                if not left:
                    break
            # The next rows are likely sealed alike. Which key opens a token does not hang on the order.
            opens = Counter(one[0] for place, _ in group if (one := found[place]) is not None)
            for best, _ in opens.most_common(1):
                self._orders[name] = (best, *(key for key in order if key is not best))
        return found

    def tried(self) -> str:
        """Return the public names of what `open` tries, for a message."""
        # An `env_` id is a digest of its key string: shown where the application wrote it, not here.
        quick = [key.key_id for key in self.keys if key.derivation not in _DERIVED_SLOWLY]
        slow = len(self.keys) - len(quick)
        more = len(quick) - _SHOWN_KEYS
        names = [*quick[:_SHOWN_KEYS], *([f"{more} more"] if more > 0 else []), f"{slow} derived by PBKDF2"]
        return ", ".join(names)

    def wire(self) -> tuple[WireKey, ...]:
        """Return the ring for a worker's pipe, with the bytes that are derived already; secret."""
        return tuple(key.wire() for key in self.keys)

    @classmethod
    def from_wire(cls, wire: Iterable[WireKey]) -> KeyRing:
        """Return the ring that `wire` described."""
        return cls([Key.from_wire(key) for key in wire])

    def _order(self, name: str | None) -> tuple[Key, ...]:
        # `default` names any key string's sha256 key, and those stand first as it is.
        first = [key for key in self.keys if key.key_id == name]
        order = (*first, *(key for key in self.keys if key not in first))
        self._orders[name] = order
        return order

    def __repr__(self) -> str:
        """Show how many keys there are."""
        return f"KeyRing({len(self.keys)} keys)"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: whatever pickles a ring by accident would store it in clear."""
        raise TypeError("a key ring is not pickled")
