"""What the store's statistics and its re-encryption return."""

from dataclasses import dataclass
from typing import ClassVar

from credstore_pipeline.store.records import Record


@dataclass(frozen=True, slots=True)
class Performer(Record):
    """How a credential did; rates in percent. `priority` only under a tag."""

    id: str
    name: str
    success_rate: float
    failure_rate: float
    attempts: int
    priority: float | None = None

    shape: ClassVar[tuple[str, ...]] = ("id", "name", "success_rate", "failure_rate", "attempts", "priority")


@dataclass(frozen=True, slots=True)
class CredentialStats(Record):
    """How all credentials did.

    Attributes:
        total_count: How many there are.
        active_count: How many of them were used in the last 30 days.
        success_rate: Percent of all attempts, two decimals; 0 without any.
        failure_rate: Likewise.
        top_performers: Up to five with at least ten attempts, the best first.
        poor_performers: The same, the worst first.
    """

    total_count: int
    active_count: int
    success_rate: float
    failure_rate: float
    top_performers: tuple[Performer, ...]
    poor_performers: tuple[Performer, ...]

    shape: ClassVar[tuple[str, ...]] = (
        *("total_count", "active_count", "success_rate", "failure_rate", "top_performers", "poor_performers"),
    )


@dataclass(frozen=True, slots=True)
class TagCredentialStats(CredentialStats):
    """How a tag's credentials did under it; performers have at least five attempts."""

    tag_id: str

    shape: ClassVar[tuple[str, ...]] = ("tag_id", *CredentialStats.shape)


@dataclass(frozen=True, slots=True)
class Reencryption(Record):
    """What a re-encryption did; everything is committed.

    Attributes:
        total: Credentials that there are.
        success: Those with a password, now all sealed under the store's key.
        failed: Always 0: a password that does not open ends the whole operation.
        batches: How many batches were read.
        rollbacks: Always 0.
        rewritten: Those whose stored text changed; the others were sealed in this way already.
        by_key: What sealed them before: a key's public id, `plaintext`, `empty` or `null` -> how many.
    """

    total: int
    success: int
    failed: int
    batches: int
    rollbacks: int
    rewritten: int
    by_key: dict[str, int]

    shape: ClassVar[tuple[str, ...]] = (*("total", "success", "failed", "batches", "rollbacks", "rewritten", "by_key"),)
