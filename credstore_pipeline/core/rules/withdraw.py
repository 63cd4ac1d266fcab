"""Moves validated rows to quarantine that turn out, against the target, not to be loadable after all."""

from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from credstore_pipeline.core.frames import Frame
from credstore_pipeline.core.reasons import Reason
from credstore_pipeline.core.rules.associations import duplicate_pairs, source_ids
from credstore_pipeline.core.rules.references import CREDENTIAL_QUARANTINED
from credstore_pipeline.core.rules.texts import read_text, usable_ids
from credstore_pipeline.core.rules.verdict import QUARANTINE, Verdict


def withdraw(
    table: str, verdict: Verdict, extracted: Frame, ids: Collection[str], reason: Reason, detail: str
) -> Verdict:
    """Move the rows of the given target ids from the frame to the quarantine, and drop their repairs.

    Args:
        table: The source table.
        verdict: What validation said.
        extracted: The rows that it judged.
        ids: Ids as the rows are to be written.
        reason: Why they are refused.
        detail: What is wrong; columns and counts, never a value.
    """
    gone = pc.is_in(verdict.frame.rows["id"], value_set=pa.array(list(ids), pa.string()))
    return _move(table, verdict, extracted, gone, reason, detail)


def refollow(
    associations: Verdict, placeholders: pa.Table, extracted: Frame, removed: Collection[str]
) -> tuple[Verdict, pa.Table]:
    """Let associations follow credentials that were quarantined after they were validated.

    Args:
        associations: The associations' verdict.
        placeholders: The placeholder tags made with it.
        extracted: The associations as extracted.
        removed: Ids of the credentials.

    Returns:
        The verdict, and the placeholders that an association still refers to.
    """
    gone = pc.is_in(associations.frame.rows["credential_id"], value_set=pa.array(list(removed), pa.string()))
    verdict = _move("credential_tags", associations, extracted, gone, Reason.PARENT_QUARANTINED, CREDENTIAL_QUARANTINED)
    rows, repairs = verdict.frame.rows, verdict.frame.tables["repairs"]
    needed = pc.is_in(placeholders["id"], value_set=pc.unique(rows["tag_id"]))
    dropped = placeholders.filter(pc.invert(needed))["id"]
    unneeded = pc.and_(pc.equal(repairs["source_table"], "tags"), pc.is_in(repairs["source_id"], value_set=dropped))
    frame = Frame(
        verdict.frame.tables | {"repairs": repairs.filter(pc.invert(unneeded))},
        verdict.frame.notes | {"duplicate_pairs": str(duplicate_pairs(rows))},
    )
    return Verdict(frame, verdict.quarantine), placeholders.filter(needed)


def _move(
    table: str, verdict: Verdict, extracted: Frame, gone: pa.ChunkedArray, reason: Reason, detail: str
) -> Verdict:
    rows, repairs = verdict.frame.rows, verdict.frame.tables["repairs"]
    leaving = rows.filter(gone)
    places = pc.index_in(leaving["source_rowid"], value_set=extracted.rows["source_rowid"].combine_chunks())
    named = (
        source_ids(extracted.rows) if table == "credential_tags" else usable_ids(read_text(extracted.rows, "id").text)
    )
    refused = pa.table(
        {
            "source_table": pa.repeat(pa.scalar(table), leaving.num_rows),
            "source_rowid": leaving["source_rowid"],
            "row_index": places,
            "source_id": named.take(places.combine_chunks()),
            "reason": pa.repeat(pa.scalar(str(reason)), leaving.num_rows),
            "detail": pa.repeat(pa.scalar(detail), leaving.num_rows),
        }
    ).cast(QUARANTINE)
    of_leaving = pc.and_(
        pc.equal(repairs["source_table"], table),
        pc.is_in(repairs["source_id"], value_set=leaving["id"].combine_chunks()),
    )
    staying = {"rows": rows.filter(pc.invert(gone)), "repairs": repairs.filter(pc.invert(of_leaving))}
    quarantine = pa.concat_tables([verdict.quarantine, refused]).sort_by("row_index")
    return Verdict(Frame(verdict.frame.tables | staying, verdict.frame.notes), quarantine)
