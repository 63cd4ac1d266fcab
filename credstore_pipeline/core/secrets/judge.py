"""The verdict on every stored password: what it is, whether it opens, and its form for the target.

One pass opens each password, seals it anew and takes its fingerprint. Runs alike in a worker and in the
run's own process; imports neither pandas nor Arrow.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal, NamedTuple

from credstore_pipeline.core.keys.derivations import Derivation
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.secrets.fingerprint import SecretFingerprints
from credstore_pipeline.core.secrets.opening import Opened, is_text
from credstore_pipeline.core.secrets.peeling import peel_many, peel_primary_many
from credstore_pipeline.core.secrets.sealing import seal
from credstore_pipeline.core.secrets.shapes import Encoding

Plaintext = Literal["encrypt", "refuse"]

PUBLISHED_PASSWORDS = frozenset({b"admin_password", b"backup_password", b"monitor_password", b"readonly_password"})
"""Passwords that the application's setup script and fixtures put in."""


class Verdict(StrEnum):
    """What is to be done with a stored password."""

    OPENED = "opened"
    NULL = "null"
    EMPTY = "empty"
    UNDECRYPTABLE = "undecryptable"
    INVALID_TEXT = "invalid_text"
    PLAINTEXT_REFUSED = "plaintext_refused"


class Judged(NamedTuple):
    """Verdicts on some rows, column by column.

    Attributes:
        verdict: What is to be done.
        encoding: How it was stored.
        key_id: Public name of the outermost layer's key; None if no layer opened.
        derivation: How that key came about; None likewise.
        layers: How many layers were opened.
        sealed: The target's text: an envelope `default`, '' for empty; None for NULL and unless opened.
        fingerprint: Of the password, bound to the row; None unless opened, NULL or empty, or without an id.
        kept: True if `sealed` is the stored text, byte for byte.
        published_default: True if anyone can know the password from the application's source.
        missing_key_id: The key id that the layer which no key opens names, if it is one of the application's.
    """

    verdict: list[Verdict]
    encoding: list[Encoding]
    key_id: list[str | None]
    derivation: list[Derivation | None]
    layers: list[int]
    sealed: list[str | None]
    fingerprint: list[bytes | None]
    kept: list[bool]
    published_default: list[bool]
    missing_key_id: list[str | None]

    def __repr__(self) -> str:
        """Show how many rows there are."""
        return f"Judged({len(self.verdict)} rows)"


class Seen(NamedTuple):
    """Passwords as they stand in the target, column by column.

    Attributes:
        fingerprint: Of the password, bound to the row; None if it does not open as demanded.
        encoding: How it is stored.
        key_id: Public name of the outermost layer's key; None if no layer opened.
        layers: How many layers were opened.
    """

    fingerprint: list[bytes | None]
    encoding: list[Encoding]
    key_id: list[str | None]
    layers: list[int]

    def __repr__(self) -> str:
        """Show how many rows there are."""
        return f"Seen({len(self.encoding)} rows)"


class Judge:
    """Judges stored passwords under one ring, one fingerprint key and one policy.

    Works column by column: opening, digesting and sealing row by row takes half as long again, because
    each displaces the other's code from the processor's caches.
    """

    def __init__(self, ring: KeyRing, fingerprint_key: bytes, plaintext: Plaintext = "encrypt") -> None:
        """Hold what every row is judged by."""
        self._ring = ring
        self._fingerprints = SecretFingerprints(fingerprint_key)
        self._refuse_plaintext = plaintext == "refuse"

    def judge(self, ids: Sequence[str | None], stored: Sequence[bytes | None]) -> Judged:
        """Return the verdicts on stored passwords, sealed anew where they opened.

        Args:
            ids: The credentials' ids, which fingerprints are bound to.
            stored: The column's bytes; None for NULL.
        """
        opened = peel_many(stored, self._ring)
        verdicts = [self._verdict(one) for one in opened]
        good = [verdict in _GOOD for verdict in verdicts]
        keys = [one.key for one in opened]
        return Judged(
            verdict=verdicts,
            encoding=[one.encoding for one in opened],
            key_id=[key.key_id if key else None for key in keys],
            derivation=[key.derivation if key else None for key in keys],
            layers=[one.layers for one in opened],
            sealed=[self._sealed(*row) for row in zip(stored, opened, good, strict=True)],
            fingerprint=self._fingerprints_of(ids, opened, good),
            kept=[one.exact and well for one, well in zip(opened, good, strict=True)],
            published_default=[one.plaintext in PUBLISHED_PASSWORDS for one in opened],
            missing_key_id=[one.missing for one in opened],
        )

    def read_back(self, ids: Sequence[str], stored: Sequence[str | None], *, only_primary: bool) -> Seen:
        """Return the fingerprints of passwords as they stand in the target.

        Args:
            ids: The credentials' ids, which fingerprints are bound to.
            stored: The column's text; None for NULL.
            only_primary: Demand the target's form: NULL, '', or exactly an envelope `default` under the
                primary key, one layer.
        """
        texts = [None if text is None else text.encode("utf-8", "surrogatepass") for text in stored]
        opened = (peel_primary_many if only_primary else peel_many)(texts, self._ring)
        good = [
            one.encoding is Encoding.NULL or (one.plaintext is not None and is_text(one.plaintext)) for one in opened
        ]
        return Seen(
            fingerprint=self._fingerprints_of(ids, opened, good),
            encoding=[one.encoding for one in opened],
            key_id=[one.key.key_id if one.key else None for one in opened],
            layers=[one.layers for one in opened],
        )

    def _verdict(self, one: Opened) -> Verdict:
        if one.encoding is Encoding.NULL:
            return Verdict.NULL
        if one.encoding is Encoding.EMPTY:
            return Verdict.EMPTY
        if one.plaintext is None:
            return Verdict.UNDECRYPTABLE
        if not is_text(one.plaintext):
            return Verdict.INVALID_TEXT
        if self._refuse_plaintext and not one.layers:
            return Verdict.PLAINTEXT_REFUSED
        return Verdict.OPENED

    def _sealed(self, stored: bytes | None, one: Opened, good: bool) -> str | None:
        if not good or stored is None or one.plaintext is None:
            return None
        if not stored:
            return ""
        return stored.decode("ascii") if one.exact else seal(one.plaintext, self._ring)

    def _fingerprints_of(
        self, ids: Sequence[str | None], opened: Sequence[Opened], good: Sequence[bool]
    ) -> list[bytes | None]:
        of = self._fingerprints.of
        return [
            of(row_id, one.plaintext) if well and row_id is not None else None
            for row_id, one, well in zip(ids, opened, good, strict=True)
        ]


_GOOD = frozenset({Verdict.OPENED, Verdict.NULL, Verdict.EMPTY})
