"""Claims about passwords: the same on both sides, sealed at rest, readable by the application."""

import pyarrow as pa
import pyarrow.compute as pc

from credstore_pipeline.core.proofs.evidence import NEEDED, Evidence, changed_since
from credstore_pipeline.core.sync.waiting_list import list_waiting
from credstore_pipeline.core.validation.gates import Figures, Verdict

SHOWN = 10


def secrets_match_source(evidence: Evidence) -> Verdict:
    """Passwords, opened on both sides, are the same row by row."""
    target, ids = evidence.target["credentials"], evidence.source_ids["credentials"]
    at = pc.index_in(target["id"], value_set=ids)
    here = evidence.source_secrets.take(at)
    there = evidence.target_secrets["fingerprint"]
    unopened = _ids_where(target, pc.is_null(there))
    differing = _ids_where(target, pc.fill_null(pc.not_equal(here, there), False))
    # A row whose new value no key opens is in quarantine; the target keeps the last good one.
    held = pc.is_in(evidence.source["credentials"]["source_rowid"], value_set=evidence.held("credentials"))
    shut = pc.and_(pc.is_null(evidence.source_secrets), pc.invert(held))
    shut_here = _ids_where(target, pc.fill_null(shut.take(at), False))
    explained = changed_since(evidence, "credentials", differing, ["password"], or_apart=True)
    wrong = [row_id for row_id in differing if row_id not in explained]
    in_both = len(at) - at.null_count
    numbers: Figures = {
        "compared": in_both,
        "differing": len(wrong),
        "not_opened_in_target": len(unopened),
        "not_opened_in_snapshot": len(shut_here),
        "changed_in_target_since": len(explained),
        "deleted_in_source_since": at.null_count,
    }
    faults = []
    if wrong:
        faults.append(f"{len(wrong)} passwords are others than the source's (id {_some(wrong)})")
    if unopened:
        faults.append(f"no key opens {len(unopened)} passwords of the target (id {_some(unopened)})")
    if shut_here:
        faults.append(
            f"no key opens {len(shut_here)} passwords of the snapshot, so that they could not be compared "
            f"(id {_some(shut_here)}); give the source's keys again"
        )
    return Verdict(not faults, "; ".join(faults) or "Every password opens and is the source's.", numbers)


def no_plaintext_at_rest(evidence: Evidence) -> Verdict:
    """No password that the pipeline wrote stands in the clear."""
    plain = pc.equal(evidence.target_secrets["encoding"], "plaintext")
    ids = _ids_where(evidence.target["credentials"], plain)
    explained = _adopted(evidence, ids) | changed_since(evidence, "credentials", ids, ["password"])
    wrong = [row_id for row_id in ids if row_id not in explained]
    numbers: Figures = {"plaintext": len(wrong), "the_applications_own_plaintext": len(explained)}
    text = f"{len(wrong)} passwords stand in the clear (id {_some(wrong)})."
    return Verdict(not wrong, text if wrong else "No password of ours stands in the clear.", numbers)


def application_can_read(evidence: Evidence) -> Verdict:
    """Each row reads as the application's readers read it: with the key string alone, nothing NULL that they need."""
    faults: list[str] = []
    numbers: Figures = {}
    for table in ("credentials", "credential_tags"):
        rows = evidence.target[table]
        faulty = {tuple(NEEDED[table]): pc.invert(rows["complete"])}
        if table == "credentials":
            faulty["password",] = pc.invert(evidence.target_secrets["readable"])
        ids, explained = [], set()
        for columns, bad in faulty.items():
            found = _ids_where(rows, bad)
            ids += [row_id for row_id in found if row_id not in ids]
            explained |= changed_since(evidence, table, found, columns)
        explained |= _adopted(evidence, ids, table)
        wrong = [row_id for row_id in ids if row_id not in explained]
        numbers |= {f"{table}_read": rows.num_rows - len(ids), f"{table}_unreadable": len(wrong)}
        numbers[f"{table}_the_applications_own"] = len(explained)
        if wrong:
            faults.append(f"{table}: the application cannot read {len(wrong)} rows (id {_some(wrong)})")
    return Verdict(
        not faults, "; ".join(faults) or "The application reads every row with its key string alone.", numbers
    )


def rows_not_ours(evidence: Evidence) -> Verdict:
    """Rows of the application stand beside ours; they are not touched and not judged."""
    numbers: Figures = dict(evidence.not_ours)
    count = sum(evidence.not_ours.values())
    return Verdict(
        not count, f"{count} rows in the target are not the pipeline's and were not touched.", numbers, fatal=False
    )


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:SHOWN]) + (", …" if len(ids) > SHOWN else "")


def _ids_where(rows: pa.Table, mask: pa.ChunkedArray | pa.Array) -> list[str]:
    return rows["id"].filter(mask).to_pylist()  # type: ignore[no-any-return]


def _adopted(evidence: Evidence, ids: list[str], table: str = "credentials") -> set[str]:
    base = evidence.base[table]
    return set(base.filter(base["adopted"])["row_id"].to_pylist()) & set(ids)


def no_conflicts_wait(evidence: Evidence) -> Verdict:
    """No conflict waits for a person."""
    count, listed = list_waiting(evidence.connection)
    text = (
        f"{count} conflicts wait; the target keeps its values. Settle them with the job `resolve_conflicts`."
        if count
        else "No conflict waits."
    )
    return Verdict(not count, text, {"conflicts_waiting": count}, fatal=False, rows=tuple(listed))
