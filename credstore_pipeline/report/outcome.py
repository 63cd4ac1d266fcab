"""The run in one sentence."""

from dataclasses import dataclass
from typing import Literal

from credstore_pipeline.core.report import overall
from credstore_pipeline.report.told import Told


@dataclass(frozen=True)
class Outcome:
    """What a reader must know if they read nothing else.

    Attributes:
        mood: Colours and words alike tell it.
        word: The run in a word or two.
        sentence: The run in one sentence.
    """

    mood: Literal["good", "note", "bad"]
    word: str
    sentence: str


def outcome(told: Told) -> Outcome:
    """Say how the run ended, with the counts that matter."""
    stopped = told.stopped
    if stopped:
        first = stopped.text.splitlines()[0] if stopped.text else ""
        word = "Refused" if stopped.outcome == "refused" else "Failed"
        return Outcome("bad", word, f"The run ended at {stopped.stage}. {first}")
    if told.part("report/migration"):
        return _migrated(told)
    if told.part("proofs"):
        compared = told.total("proofs", ("secrets_match_source.compared",))
        return Outcome("good", "Verified", f"Every proof holds; {compared:,} passwords were opened on both sides.")
    if told.part("preflight/census"):
        opened, rows = (told.total("preflight/census", (name,)) for name in ("opened", "rows"))
        mood: Literal["good", "note"] = "good" if opened == rows else "note"
        return Outcome(mood, "Looked at", f"{opened:,} of {rows:,} passwords open. Nothing was written.")
    if overall(list(told.parts)) == "done":
        return Outcome("good", "Done", told.parts[-1].text.partition("\n")[0])
    return Outcome("note", "Unfinished", "The run has not come to its end.")


def _migrated(told: Told) -> Outcome:
    rows = told.total("validated", ("credentials_extracted",))
    there = told.total("proofs", ("row_counts_match.credentials_in_target",))
    behind = told.total("validated", ("quarantined_credentials", "quarantined_links", "quarantined_following"))
    written = told.total(
        "postgres", (f"{table}_{what}" for table in ("tags", "credentials", "credential_tags") for what in _WRITTEN)
    )
    did = f"{written:,} rows were written" if written else "There was nothing to write"
    if told.left_out:
        return Outcome("good", "Migrated and proven", f"{did}. {_left_out(told)}")
    left = f"; {behind:,} rows stay behind, sealed, in quarantine" if behind else "; nothing stays behind"
    return Outcome(
        "note" if behind else "good",
        "Migrated and proven",
        f"{did}. Of {rows:,} credentials in SQLite, {there:,} are in PostgreSQL and proven{left}.",
    )


def _left_out(told: Told) -> str:
    read = told.total("validated", (f"{table}_extracted" for table in ("credentials", "credential_tags")))
    if not read:
        return f"None of the {told.left_out:,} rows has changed since all were proven."
    return (
        f"{read:,} credentials and associations were edited since the last run, and are proven; the other "
        f"{told.left_out:,} rows have not changed since all were proven."
    )


_WRITTEN = ("inserted", "updated", "deleted")
