"""Validates associations: which credential bears which tag, with what priority."""

from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from credstore_pipeline.core.frames import Frame
from credstore_pipeline.core.rules.faults import Faults
from credstore_pipeline.core.rules.layout import TEXTS, WRITTEN
from credstore_pipeline.core.rules.numbers import read_priorities
from credstore_pipeline.core.rules.pair_ids import ids_from_pairs
from credstore_pipeline.core.rules.parts import Mask, Positions, as_mask
from credstore_pipeline.core.rules.placeholders import make_placeholders
from credstore_pipeline.core.rules.references import MissingTags, Parents, find_tags, refuse_by_reference
from credstore_pipeline.core.rules.repairs import Repairs, Rule
from credstore_pipeline.core.rules.schemas import broken_rules
from credstore_pipeline.core.rules.statistics import repair_counters, repair_last, repair_stamps
from credstore_pipeline.core.rules.texts import TextColumn, describe, read_text, usable_ids
from credstore_pipeline.core.rules.verdict import TargetView, Verdict

TABLE = "credential_tags"


def validate_associations(
    extracted: Frame,
    credentials: Frame,
    credentials_extracted: Frame,
    tags: Verdict,
    target: TargetView,
    *,
    missing_tags: MissingTags,
    snapshot_time: datetime,
) -> tuple[Verdict, pa.Table]:
    """Sort extracted associations into rows for the target and refused rows.

    Rows of one pair are all kept; the note `duplicate_pairs` counts those that repeat an earlier row's pair.

    Args:
        extracted: The associations as extracted.
        credentials: The validated credentials.
        credentials_extracted: The credentials as extracted.
        tags: The validated tags.
        target: What is known of the target.
        missing_tags: What happens to an association whose tag is in neither store.
        snapshot_time: When the snapshot was taken, by the target's clock.

    Returns:
        The verdict, and the placeholder tags to be written with it, shaped like validated tags; their repairs
        stand among the verdict's.
    """
    rows = extracted.rows
    faults, repairs = Faults(rows.num_rows), Repairs(TABLE)
    read = {column: read_text(rows, column) for column in TEXTS[TABLE]}
    given = read["id"].text
    read["id"] = TextColumn(_with_made_ids(given, read), read["id"].unreadable)
    columns: dict[str, pa.Array] = {column: text.text for column, text in read.items()}
    if "id" in rows.column_names:
        repairs.note("id", [(Rule.ASSOCIATION_ID_FROM_PAIR, np.flatnonzero(_is_missing(given)))])
    else:
        repairs.note_absent("id", Rule.ASSOCIATION_ID_FROM_PAIR)
    columns |= repair_counters(rows, repairs) | repair_last(rows, repairs)
    columns |= repair_stamps(TABLE, rows, columns["id"], target, snapshot_time, repairs)
    columns["priority"] = _priority(rows, repairs)

    for column, reason, broken in broken_rules(TABLE, columns, target.limits):
        details = (
            "priority: not a number"
            if column == "priority"
            else describe(column, read[column], reason, broken, target.limits.get((TABLE, column)))
        )
        faults.add(reason, broken, details)
    sources = _source_ids(rows, read, given)
    tag_ids = columns["tag_id"].dictionary_encode()
    loadable = credentials.rows["id"].combine_chunks()
    if target.loaded_credentials:
        # Refused is the change alone, of a credential that stands in the target: its associations go on.
        loadable = pa.concat_arrays([loadable, pa.array(sorted(target.loaded_credentials), pa.string())])
    known = Parents(
        loadable=loadable,
        extracted=read_text(credentials_extracted.rows, "id").text,
        tags=find_tags(tag_ids.dictionary.to_pylist(), tags, target, missing_tags),
    )
    columns["tag_id"], bearers = refuse_by_reference(
        columns["credential_id"], tag_ids, known, target.limits[TABLE, "tag_id"], faults
    )

    columns["source_rowid"] = rows["source_rowid"]
    columns["source_id"] = pc.if_else(pa.array(_is_missing(given)), pa.scalar(None, pa.string()), given)
    written = pa.table({name: columns[name] for name in WRITTEN[TABLE].names}).filter(pa.array(faults.sound))
    placeholders, made = make_placeholders(written["tag_id"], known.tags.placeholders, target, snapshot_time)
    listed = pa.concat_tables([repairs.listed(columns["id"], faults.sound), made])
    notes = {"duplicate_pairs": str(_repeated(bearers[faults.sound], written["tag_id"]))}
    frame = Frame({"rows": written.cast(WRITTEN[TABLE]), "repairs": listed}, notes)
    return Verdict(frame, faults.refused(TABLE, rows["source_rowid"].combine_chunks(), sources)), placeholders


def association_ids(rows: pa.Table) -> pa.StringArray:
    """The id that each extracted association has in the target: its own, or the one made from its pair.

    Null where the row has no id and no pair to make it from, or an id that is no text.
    """
    read = {column: read_text(rows, column) for column in TEXTS[TABLE]}
    return usable_ids(_with_made_ids(read["id"].text, read))


def source_ids(rows: pa.Table) -> pa.StringArray:
    """What names each extracted association in quarantine: its id, or its pair where the table has none.

    A pair is written `credential id/tag id`. Null where the id, or the pair's credential id, is NULL or no text.
    """
    read = {column: read_text(rows, column) for column in TEXTS[TABLE]}
    return _source_ids(rows, read, read["id"].text)


def duplicate_pairs(rows: pa.Table) -> int:
    """How many of the validated associations repeat an earlier one's credential and tag."""
    bearers = rows["credential_id"].combine_chunks().dictionary_encode().indices
    return _repeated(bearers.to_numpy(), rows["tag_id"])


def _repeated(bearers: Positions, tag_ids: pa.ChunkedArray) -> int:
    tags = tag_ids.combine_chunks().dictionary_encode()
    pairs = bearers.astype(np.int64) * len(tags.dictionary) + tags.indices.to_numpy()
    # Sorted, equal pairs are neighbours; NumPy's own `unique` hashes, and takes ten times as long here.
    ordered = np.sort(pairs)
    return int((ordered[1:] == ordered[:-1]).sum())


def _source_ids(rows: pa.Table, read: dict[str, TextColumn], given: pa.StringArray) -> pa.StringArray:
    if "id" in rows.column_names:
        return usable_ids(given)
    credential_ids, tag_ids = usable_ids(read["credential_id"].text), usable_ids(read["tag_id"].text)
    return pc.binary_join_element_wise(credential_ids, pc.fill_null(tag_ids, ""), "/")


def _with_made_ids(given: pa.StringArray, read: dict[str, TextColumn]) -> pa.StringArray:
    missing = np.flatnonzero(_is_missing(given))
    if not len(missing):
        return given
    places = pa.array(missing)
    made = ids_from_pairs(read["credential_id"].text.take(places), read["tag_id"].text.take(places))
    order = np.full(len(given), -1, dtype=np.int64)
    order[missing] = np.arange(len(missing))
    return pc.coalesce(made.take(pa.array(order, mask=order < 0)), given)


def _is_missing(ids: pa.StringArray) -> Mask:
    return as_mask(pc.fill_null(pc.equal(ids, ""), True))


def _priority(rows: pa.Table, repairs: Repairs) -> pa.Array:
    if "priority" not in rows.column_names:
        repairs.note_absent("priority", Rule.COLUMN_ABSENT_TO_ZERO, "0.0")
        return pa.array(np.zeros(rows.num_rows))
    values, usable, noted = read_priorities(rows["priority"])
    repairs.note("priority", noted, pa.array(values))
    return pa.array(values, mask=~usable)
