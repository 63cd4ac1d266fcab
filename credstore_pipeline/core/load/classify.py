"""Sorts incoming rows, in one query a table, by where they are: source, base, target."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from credstore_pipeline.core.load.columns import FINGERPRINT_BYTES, fingerprinted, slots, substance
from credstore_pipeline.core.load.meaning import as_packed
from credstore_pipeline.core.load.reading import put_ids, qualified
from credstore_pipeline.core.sync.passage import Incoming, Passage
from credstore_pipeline.core.target.bulk import copy_out

_FOUND = pa.schema(
    [("id", pa.string()), ("based", pa.bool_()), ("there", pa.bool_()), ("buried", pa.bool_()), ("fp", pa.binary())]
)


@dataclass(frozen=True)
class Classes:
    """Ids by what is to happen. Rows equal to their base appear nowhere, nor do those that stay deleted.

    Attributes:
        new: In neither the base nor the target; or back, changed, after their deletion was seen; or back with
            their credential.
        foreign: In the target without a base.
        changed: On both sides, and another in the source than when both were last agreed.
        gone: Deleted in the target by the application, and changed in the source since apart from statistics.
    """

    new: list[str]
    foreign: list[str]
    changed: list[str]
    gone: list[str]


def classify(work: Passage, incoming: Incoming) -> Classes:
    """Sort the rows in `pg_temp.incoming_<table>` against base and target."""
    table = incoming.table
    put_ids(work.connection, "revived", sorted(work.revived) if table == "credential_tags" else [])
    back = "EXISTS (SELECT FROM pg_temp.revived r WHERE r.id = i.parent_id)" if table == "credential_tags" else "false"
    found = copy_out(
        work.connection,
        f"""
        SELECT i.id, s.row_id IS NOT NULL AND NOT (t.id IS NULL AND {back}), t.id IS NOT NULL,
               s.tombstone_at IS NOT NULL, s.source_fp
        FROM pg_temp.incoming_{table} i
        LEFT JOIN credstore_sync.row_state s ON s.source_table = '{table}' AND s.row_id = i.id
        LEFT JOIN {qualified(work.schema, table)} t ON t.id = i.id
        WHERE s.row_id IS NULL OR s.source_fp <> i.fp OR (t.id IS NULL AND {back})
        """,
        _FOUND,
    )
    based, there, buried = (pc.fill_null(found[name], False) for name in ("based", "there", "buried"))
    other = pa.array(_other_substance(incoming, found), pa.bool_())
    absent, unbased = pc.invert(there), pc.invert(based)
    came_back = pc.and_(pc.and_(based, buried), other)

    def ids(mask: pa.ChunkedArray) -> list[str]:
        return list(found["id"].filter(mask).to_pylist())

    work.unburied.update(ids(pc.and_(came_back, there)))
    return Classes(
        new=ids(pc.and_(absent, pc.or_(unbased, came_back))),
        foreign=ids(pc.and_(there, unbased)),
        changed=ids(pc.and_(pc.and_(there, based), pc.or_(pc.invert(buried), other))),
        gone=ids(pc.and_(pc.and_(absent, based), pc.and_(pc.invert(buried), other))),
    )


def _other_substance(incoming: Incoming, found: pa.Table) -> list[bool]:
    """Which rows mean something else than their base, apart from statistics; false for those without one."""
    table = incoming.table
    width = FINGERPRINT_BYTES * len(fingerprinted(table))
    base = as_packed(pc.fill_null(found["fp"], b"\0" * width), width)
    now = incoming.subset(found["id"].combine_chunks()).packed
    chosen = slots(table, tuple(substance(table)))
    return list((base[:, chosen] != now[:, chosen]).any(axis=1) & found["based"].to_numpy())
