"""Validates tags: each is written, another tag stands for it, or it is refused."""

from datetime import datetime

import numpy as np
import pyarrow as pa

from credstore_pipeline.core.frames import Frame
from credstore_pipeline.core.reasons import Reason
from credstore_pipeline.core.rules.faults import Faults
from credstore_pipeline.core.rules.layout import TEXTS, WRITTEN
from credstore_pipeline.core.rules.parts import Mask, Positions
from credstore_pipeline.core.rules.repairs import Repairs, Rule
from credstore_pipeline.core.rules.schemas import Broken, broken_rules
from credstore_pipeline.core.rules.statistics import repair_stamps
from credstore_pipeline.core.rules.tag_mapping import SAME_ID, FileTag, Mapping, map_tags
from credstore_pipeline.core.rules.texts import TextColumn, describe, read_text, usable_ids
from credstore_pipeline.core.rules.verdict import TAG_MAP, TargetView, Verdict

TABLE = "tags"

DIFFERING = pa.schema([("tag_id", pa.string()), ("columns", pa.string())])
"""Tags of the same id whose name or colour is another in the target; the target's stays."""


def validate_tags(extracted: Frame, target: TargetView, *, snapshot_time: datetime) -> Verdict:
    """Sort extracted tags into rows to be written, tags that another tag stands for, and refused rows.

    Args:
        extracted: The tags as extracted; no rows where the file has no such table.
        target: What is known of the target.
        snapshot_time: When the snapshot was taken, by the target's clock.

    Returns:
        A verdict whose frame also holds `tag_map` and `differing`; the note `tags_that_differ` counts the latter.
    """
    rows = extracted.rows
    faults, repairs = Faults(rows.num_rows), Repairs(TABLE)
    read = {column: read_text(rows, column) for column in TEXTS[TABLE]}
    columns: dict[str, pa.Array] = {column: text.text for column, text in read.items()}
    columns |= repair_stamps(TABLE, rows, columns["id"], target, snapshot_time, repairs)
    for column in ("description", "color"):
        if column not in rows.column_names:
            repairs.note_absent(column, Rule.COLUMN_ABSENT_TO_NULL)

    broken = broken_rules(TABLE, columns, target.limits)
    for column, reason, places in broken:
        faults.add(reason, places, describe(column, read[column], reason, places, target.limits[TABLE, column]))
    mapping = map_tags(_usable(read, broken, faults.sound), target)
    mapped = np.array(sorted(mapping.mapped), dtype=np.int64)
    # What is not written need not fit: another tag stands for it, and its associations are saved.
    faults.forgive(mapped)
    own = faults.sound
    own[mapped] = False

    columns["source_rowid"] = rows["source_rowid"]
    written = pa.table({name: columns[name] for name in WRITTEN[TABLE].names}).filter(pa.array(own))
    differing = _differing(read, mapping, target)
    frame = Frame(
        {
            "rows": written.cast(WRITTEN[TABLE]),
            "repairs": repairs.listed(columns["id"], own),
            "tag_map": _tag_map(rows, columns["id"], mapping, mapped),
            "differing": differing,
        },
        {"tags_that_differ": str(differing.num_rows)},
    )
    return Verdict(frame, faults.refused(TABLE, rows["source_rowid"].combine_chunks(), usable_ids(columns["id"])))


def _usable(read: dict[str, TextColumn], broken: Broken, writable: Mask) -> list[FileTag]:
    """Tags that can be told from others and looked up: id and name are there, are text, and the id is no other's."""
    usable = np.ones(len(writable), dtype=np.bool_)
    for column, reason, rows in broken:
        if column in ("id", "name") and reason is not Reason.VALUE_TOO_LONG:
            usable[rows] = False
    places = np.flatnonzero(usable)
    ids, names = (read[column].text.take(pa.array(places)).to_pylist() for column in ("id", "name"))
    return [
        FileTag(row, tag_id, name, bool(writable[row]))
        for row, tag_id, name in zip(places.tolist(), ids, names, strict=True)
    ]


def _tag_map(rows: pa.Table, ids: pa.Array, mapping: Mapping, mapped: Positions) -> pa.Table:
    places = pa.array(mapped)
    found = [mapping.mapped[row] for row in mapped.tolist()]
    return pa.table(
        {
            "source_rowid": rows["source_rowid"].take(places),
            "source_id": ids.take(places),
            "target_id": pa.array([target_id for target_id, _ in found], pa.string()),
            "how": pa.array([how for _, how in found], pa.string()),
        }
    ).cast(TAG_MAP)


def _differing(read: dict[str, TextColumn], mapping: Mapping, target: TargetView) -> pa.Table:
    rows = [row for row, (_, how) in sorted(mapping.mapped.items()) if how == SAME_ID]
    here = pa.table({column: read[column].text.take(pa.array(rows, pa.int64())) for column in ("id", "name", "color")})
    there = {tag["id"]: tag for tag in target.tags.to_pylist()}
    found = [
        {"tag_id": tag["id"], "columns": ",".join(columns)}
        for tag in here.to_pylist()
        if (columns := [name for name in ("name", "color") if tag[name] != there[tag["id"]][name]])
    ]
    return pa.Table.from_pylist(found, DIFFERING)
