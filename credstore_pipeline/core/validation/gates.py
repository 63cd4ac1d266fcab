"""The gates before the load: is every row accounted for, and may so many stay behind?"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from credstore_pipeline.core.deployment import Policies
from credstore_pipeline.core.errors import QuarantineRefused
from credstore_pipeline.core.frames import TABLES, Frame
from credstore_pipeline.core.reasons import NOT_COUNTED_AS_LINKS, WHAT_TO_DO, Reason

LISTED = 50
"""Rows that a refusal lists at most; the rest are counted."""

Figures = dict[str, int | float]
"""Name (with its unit, where it has one) -> number, to be compared over time."""

ACCOUNTED = "accounted"
"""Note on the quarantine frame: whether every extracted row was accounted for."""


@dataclass(frozen=True)
class Verdict:
    """Whether a gate or a proof holds.

    Attributes:
        passed: True is green.
        text: What was found and, when red, what to do.
        numbers: Figures to compare over time.
        fatal: False makes a red verdict a warning.
        rows: What it speaks of, as a table: ids, columns, times.
    """

    passed: bool
    text: str
    numbers: Figures = field(default_factory=dict)
    fatal: bool = True
    rows: tuple[dict[str, Any], ...] = ()


def account(
    extracted: dict[str, pa.Table], validated: dict[str, pa.Table], mapped: pa.Table, quarantine: pa.Table
) -> Verdict:
    """Every extracted row is validated or quarantined, by row id, in exactly one of them.

    Args:
        extracted: Extracted rows by table.
        validated: Validated rows by table; placeholders have no row id.
        mapped: Row ids (`source_rowid`) of tags that another tag stands for.
        quarantine: Quarantined rows.
    """
    faults: list[str] = []
    numbers: Figures = {}
    for table in TABLES:
        refused = quarantine["source_rowid"].filter(pc.equal(quarantine["source_table"], table)).to_pylist()
        kept = [rowid for rowid in validated[table]["source_rowid"].to_pylist() if rowid is not None]
        if table == "tags":
            kept += mapped["source_rowid"].to_pylist()
        seen = Counter(kept)
        seen.update(refused)
        source = Counter(extracted[table]["source_rowid"].to_pylist())
        lost, twice, made = (
            source.keys() - seen.keys(),
            [k for k, n in seen.items() if n > 1],
            seen.keys() - source.keys(),
        )
        numbers |= {
            f"{table}_extracted": len(source),
            f"{table}_validated": len(kept),
            f"{table}_quarantined": len(refused),
        }
        for what, rowids in (("lost", lost), ("in both", twice), ("invented", made)):
            if rowids:
                faults.append(f"{table}: {len(rowids)} rows {what} (row ids {sorted(rowids)[:5]})")
    text = "; ".join(faults) or "Every extracted row is validated or quarantined, and none is both."
    return Verdict(not faults, text, numbers)


def allowed(quarantine: pa.Table, policies: Policies) -> Verdict:
    """No more rows stay behind than the operator allowed."""
    tables, reasons = quarantine["source_table"].to_pylist(), quarantine["reason"].to_pylist()
    credentials = sum(table == "credentials" for table in tables)
    links = sum(
        table != "credentials" and reason not in NOT_COUNTED_AS_LINKS
        for table, reason in zip(tables, reasons, strict=True)
    )
    following = len(tables) - credentials - links
    numbers: Figures = {
        "quarantined_credentials": credentials,
        "quarantined_links": links,
        "quarantined_following": following,
    }
    over = []
    if credentials > policies.max_quarantined:
        over.append(
            f"{credentials} credentials cannot be migrated, {policies.max_quarantined} allowed "
            "(CREDSTORE_MAX_QUARANTINED)"
        )
    if links > policies.max_quarantined_links:
        over.append(
            f"{links} tags and associations cannot be migrated, {policies.max_quarantined_links} allowed "
            "(CREDSTORE_MAX_QUARANTINED_LINKS)"
        )
    if not over:
        return Verdict(
            True, f"{credentials} credentials, {links} tags and associations stay behind, as allowed.", numbers
        )
    return Verdict(False, f"validated: {'; '.join(over)}. The target is unchanged.\n{listing(quarantine)}", numbers)


def require_gates(quarantine: Frame, policies: Policies) -> None:
    """Let pass what the gates let pass; the load asks again, since a step alone can be launched past them.

    Args:
        quarantine: The validation's quarantine frame; its note `accounted` says that no row was lost.
        policies: How many rows may stay behind.

    Raises:
        QuarantineRefused: If a gate was red.
    """
    verdict = allowed(quarantine.rows, policies)
    if quarantine.notes.get(ACCOUNTED) != "true":
        raise QuarantineRefused(
            "load", "validation has not accounted for every row", todo="Launch the whole job again."
        )
    if not verdict.passed:
        raise refusal(verdict)


def refusal(verdict: Verdict) -> QuarantineRefused:
    """A red gate as an error."""
    where, _, wrong = verdict.text.partition(": ")
    return QuarantineRefused(where, wrong, state="")


def listing(quarantine: pa.Table) -> str:
    """Quarantined rows, at most `LISTED` lines, and what to do for each reason."""
    rows = quarantine.select(["source_table", "source_id", "source_rowid", "reason", "detail"]).to_pylist()
    # Causes before consequences: a follower says nothing new.
    rows.sort(key=lambda row: (row["reason"] == Reason.PARENT_QUARANTINED, row["source_table"] != "credentials"))
    lines = [
        f"  {row['source_table']} id={row['source_id'] or 'NULL'} (row {row['source_rowid']}): {row['reason']}"
        + (f" ({row['detail']})" if row["detail"] else "")
        for row in rows[:LISTED]
    ]
    if len(rows) > LISTED:
        lines.append(f"  and {len(rows) - LISTED} more")
    counted = Counter(row["reason"] for row in rows)
    todo = [f"  {reason} ({count}): {WHAT_TO_DO[Reason(reason)]}" for reason, count in counted.most_common()]
    return "\n".join([*lines, "What to do, by reason:", *todo])
