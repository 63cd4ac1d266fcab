"""What is promised, and this run's proof of each."""

from dataclasses import dataclass
from typing import Literal

from credstore_pipeline.report.told import Told

State = Literal["held", "broken", "noted", "not reached"]

PROMISES: dict[str, tuple[str, tuple[str, ...]]] = {
    "Nothing is lost": (
        "Every row of the store, by its key, is in PostgreSQL or in quarantine, whole and sealed.",
        ("snapshot_matches_source", "nothing_is_lost", "row_counts_match", "no_orphans"),
    ),
    "Nothing is guessed": (
        "What looks like ciphertext and opens under no key is refused; only statistics are repaired, each listed.",
        ("schema_is_known", "every_secret_opens", "quarantine_is_allowed"),
    ),
    "Nothing is leaked": (
        "Only ciphertext reaches PostgreSQL; this page holds ids, reasons and counts, and no value.",
        ("no_plaintext_at_rest",),
    ),
    "Green means done": (
        "What was written was read back, opened, and compared with the source, from fresh connections.",
        ("secrets_match_source", "application_can_read", "selection_order_matches"),
    ),
}
"""Promise -> what it says, and the checks that prove it."""

BESIDE = "What breaks no promise and an operator should know."

GATES = {
    "schema_is_known": "backup/snapshot",
    "snapshot_matches_source": "backup/snapshot",
    "every_secret_opens": "preflight/census",
    "nothing_is_lost": "validated",
    "quarantine_is_allowed": "validated",
}
"""Checks on the way in -> the stage whose part tells how they ended."""

WORDS: dict[str, State] = {"yes": "held", "no": "broken", "note": "noted"}


@dataclass(frozen=True)
class Proof:
    """One check's result."""

    check: str
    state: State
    found: str


@dataclass(frozen=True)
class Promise:
    """A promise with its proofs."""

    name: str
    says: str
    proofs: tuple[Proof, ...]

    @property
    def state(self) -> State:
        """Broken if one proof is; held only if all are."""
        found = {proof.state for proof in self.proofs}
        worst: tuple[State, ...] = ("broken", "not reached", "noted")
        return next((state for state in worst if state in found), "held")


def promises(told: Told) -> list[Promise]:
    """Each promise with what this run found."""
    said = {
        row["proof"]: row for part in told.parts for title in ("Gates", "Proofs") for row in part.tables.get(title, [])
    }
    kept = [
        Promise(name, says, tuple(_said(said[check]) if check in said else _inferred(told, check) for check in checks))
        for name, (says, checks) in PROMISES.items()
    ]
    proving = {check for _, checks in PROMISES.values() for check in checks}
    beside = tuple(_said(row) for check, row in said.items() if check not in proving)
    return [*kept, Promise("Beside the promises", BESIDE, beside)] if beside else kept


def _said(row: dict[str, str]) -> Proof:
    return Proof(row["proof"], WORDS.get(row["holds"], "noted"), row["found"].splitlines()[0])


def _inferred(told: Told, check: str) -> Proof:
    """A stage that ended before it could give a verdict still tells that its gate did not hold."""
    part = told.part(GATES.get(check, "proofs"))
    if part is None:
        return Proof(check, "not reached", "")
    return Proof(check, "broken" if part.outcome in ("refused", "failed") else "not reached", "Told below.")
