"""Makes tags for associations whose tag is in neither store, where the operator wants that."""

from collections.abc import Collection
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from credstore_pipeline.core.rules.layout import STAMPS, WRITTEN
from credstore_pipeline.core.rules.references import placeholder_name
from credstore_pipeline.core.rules.repairs import Rule
from credstore_pipeline.core.rules.timestamps import as_times, first_repairs, in_micros
from credstore_pipeline.core.rules.verdict import REPAIRS, TargetView


def make_placeholders(
    tag_ids: pa.ChunkedArray, wanted: Collection[str], target: TargetView, snapshot_time: datetime
) -> tuple[pa.Table, pa.Table]:
    """Tags, and their repairs, for those of the wanted ids that an association refers to.

    Args:
        tag_ids: Target tag ids of the associations that will be written.
        wanted: Ids that a placeholder is to have.
        target: Holds when an earlier run made the same one.
        snapshot_time: When a new one is made.
    """
    ids = sorted(set(pc.unique(tag_ids).to_pylist()) & set(wanted))
    first, now = first_repairs(target.repaired, "tags"), in_micros(snapshot_time)
    columns: dict[str, pa.Array] = {
        column: as_times(np.array([first[column].get(tag_id, now) for tag_id in ids], dtype=np.int64))
        for column in STAMPS
    }
    repairs = [_listed(ids, "name", Rule.TAG_PLACEHOLDER, pa.nulls(len(ids), pa.string()))] + [
        _listed(ids, column, Rule.TIMESTAMP_FROM_SNAPSHOT, columns[column].cast(pa.string())) for column in STAMPS
    ]
    columns["id"] = pa.array(ids, pa.string())
    columns["name"] = pa.array([placeholder_name(tag_id) for tag_id in ids], pa.string())
    nothing = pa.nulls(len(ids))
    rows = pa.table({name: columns.get(name, nothing) for name in WRITTEN["tags"].names}).cast(WRITTEN["tags"])
    return rows, pa.concat_tables(repairs)


def _listed(ids: list[str], column: str, rule: Rule, values: pa.Array) -> pa.Table:
    return pa.table(
        {
            "source_table": pa.repeat(pa.scalar("tags"), len(ids)),
            "source_id": pa.array(ids, pa.string()),
            "column_name": pa.repeat(pa.scalar(column), len(ids)),
            "rule": pa.repeat(pa.scalar(str(rule)), len(ids)),
            "value": values,
        }
    ).cast(REPAIRS)
