"""Rows that the application deleted in the target and the source changed since."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from credstore_pipeline.core.load.columns import fingerprinted, substance
from credstore_pipeline.core.load.reading import put_ids, qualified
from credstore_pipeline.core.sync.bases import put_base, read_base
from credstore_pipeline.core.sync.book import WAITING, WHOLE_ROW, Conflict
from credstore_pipeline.core.sync.merge import differs
from credstore_pipeline.core.sync.passage import Incoming, Passage, as_values, essence
from credstore_pipeline.core.sync.policy import row_policy


@dataclass(frozen=True)
class Brought:
    """What becomes of them.

    Attributes:
        reinstated: Ids of rows to be inserted again, since the policy is the source's.
        left: How many stay deleted.
    """

    reinstated: list[str]
    left: int


def note_deleted_in_target(work: Passage, incoming: Incoming, ids: list[str]) -> Brought:
    """Note a conflict for each; an association whose credential or tag is gone too follows that and has none."""
    table = incoming.table
    judged = _without_followers(work, incoming, ids)
    if not judged:
        return Brought([], len(ids))
    mine = incoming.subset(judged)
    put_ids(work.connection, "absent", mine.rows["id"])
    base = read_base(work.connection, table, mine.rows["id"].combine_chunks(), "absent")
    changed = differs(mine.packed, base.source)
    order = fingerprinted(table)
    reinstated, to_target = [], []
    meanings, values = essence(table, mine.packed), as_values(table, mine.rows)
    for position, row_id in enumerate(judged):
        names = [name for name in substance(table) if changed[position, order.index(name)]]
        policy = row_policy(work.policies, names)
        outcome = WAITING if policy == "manual" else policy
        work.book.found.append(
            Conflict(
                table,
                row_id,
                WHOLE_ROW,
                "deleted_in_target",
                policy,
                outcome,
                meanings[position],
                None,
                values[position],
            )
        )
        if policy == "source":
            reinstated.append(row_id)
        elif policy == "target":
            to_target.append(position)
    if to_target:
        # The base moves on: what was decided once is not found again until the source changes again.
        there = pa.array(to_target)
        put_base(
            work.connection,
            table,
            mine.rows.take(there),
            mine.packed[to_target],
            target=base.target[to_target],
            adopted=None,
        )
    return Brought(reinstated, len(ids) - len(reinstated))


def _without_followers(work: Passage, incoming: Incoming, ids: list[str]) -> list[str]:
    if incoming.table != "credential_tags" or not ids:
        return ids
    rows = incoming.subset(ids).rows
    there = pa.array([True] * rows.num_rows)
    for column, parent in (("credential_id", "credentials"), ("tag_id", "tags")):
        put_ids(work.connection, "parents", pc.unique(rows[column]))
        known = work.connection.exec_driver_sql(
            f"SELECT p.id FROM {qualified(work.schema, parent)} p JOIN pg_temp.parents w ON w.id = p.id"
        ).scalars()
        there = pc.and_(there, pc.is_in(rows[column].combine_chunks(), pa.array(list(known), pa.string())))
    return list(rows["id"].filter(there).to_pylist())
