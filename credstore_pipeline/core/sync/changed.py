"""Merges rows that are on both sides and changed in the source, and writes what comes out."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from credstore_pipeline.core.load.columns import COUNTERS, FINGERPRINT_BYTES, LATER, SCHEMAS, fingerprinted, substance
from credstore_pipeline.core.load.meaning import Packed
from credstore_pipeline.core.load.reading import put_ids, qualified
from credstore_pipeline.core.sync.bases import put_base, read_base
from credstore_pipeline.core.sync.book import Conflict
from credstore_pipeline.core.sync.locking import Held, hold
from credstore_pipeline.core.sync.merge import CONFLICTS, INT4_MAX, INT4_MIN, TAKEN, Act, Base, Merged, merge, new_base
from credstore_pipeline.core.sync.passage import Incoming, Passage
from credstore_pipeline.core.sync.policy import column_policy
from credstore_pipeline.core.target.bulk import copy_in


@dataclass(frozen=True)
class Updated:
    """What was written to rows that stood there.

    Attributes:
        ids: Rows of the target that were written.
        packed: What they mean now, and have to when they are read back.
        sealed: Those among them whose password is ours, sealed under the primary Fernet key.
        kept: Rows of which nothing was written because of what the target holds.
        resets: Counters that stood below their own base.
    """

    ids: pa.Array
    packed: Packed
    sealed: npt.NDArray[np.bool_]
    kept: int
    resets: int


def merge_changed(work: Passage, incoming: Incoming, ids: list[str]) -> Updated:
    """Merge the named rows with what the target holds now; their base moves with them."""
    table = incoming.table
    width = FINGERPRINT_BYTES * len(fingerprinted(table))
    if not ids:
        return Updated(pa.array([], pa.string()), np.empty((0, width), np.uint8), np.empty(0, bool), 0, 0)
    place = f"changed_{table}"
    put_ids(work.connection, place, ids)
    held = hold(work.connection, work.schema, table, place, work.meaning, work.log)
    mine = incoming.subset(held.ids)
    base = read_base(work.connection, table, held.ids, place)
    merged = merge(table, base, mine.packed, held.packed, mine.rows, held.rows, work.policies)
    written = _meaning_of(work, mine, held, merged)
    _write(work, table, mine, merged)
    _note_conflicts(work, mine, held, merged)
    _move_base(work, mine, base, merged, written)
    names = substance(table)
    touched = merged.touched
    sealed = np.zeros(len(touched), bool)
    if "password" in names:
        sealed = np.isin(merged.acts[:, names.index("password")], TAKEN)
    refused = np.isin(merged.acts, (Act.WAIT, Act.CONFLICT_TO_TARGET)).any(axis=1)
    return Updated(
        held.ids.filter(pa.array(touched)),
        written[touched],
        sealed[touched],
        int((refused & ~touched).sum()),
        merged.resets,
    )


def _meaning_of(work: Passage, mine: Incoming, held: Held, merged: Merged) -> Packed:
    """What the rows will mean: each column's fingerprint is the source's or the target's, or a new counter's."""
    order = fingerprinted(mine.table)
    packed = held.packed.copy()

    def at(name: str) -> slice:
        start = order.index(name) * FINGERPRINT_BYTES
        return slice(start, start + FINGERPRINT_BYTES)

    for place, name in enumerate(substance(mine.table)):
        taken = np.isin(merged.acts[:, place], TAKEN)
        packed[taken, at(name)] = mine.packed[taken, at(name)]
    for name, newer in merged.later.items():
        packed[newer, at(name)] = mine.packed[newer, at(name)]
    grown = [name for name, added in merged.added.items() if added.any()]
    if grown:
        fresh = work.meaning.of_columns(mine.table, merged.rows, grown)
        for place, name in enumerate(grown):
            packed[:, at(name)] = fresh[:, place * FINGERPRINT_BYTES : (place + 1) * FINGERPRINT_BYTES]
    return packed


def _write(work: Passage, table: str, mine: Incoming, merged: Merged) -> None:
    """One UPDATE for the whole table; a column that the merge does not set keeps what it holds."""
    if not merged.touched.any():
        return
    connection, where = work.connection, qualified(work.schema, table)
    names = [name for name in SCHEMAS[table].names if name not in COUNTERS]
    columns = {name: mine.rows[name] for name in names}
    flags: dict[str, npt.NDArray[np.bool_]] = {
        f"set_{name}": np.isin(merged.acts[:, place], TAKEN) for place, name in enumerate(substance(table))
    } | {f"set_{name}": newer for name, newer in merged.later.items()}
    rows = pa.table(
        columns
        | {name: pa.array(flag) for name, flag in flags.items()}
        | {f"add_{name}": pa.array(added) for name, added in merged.added.items()}
    ).filter(pa.array(merged.touched))
    extra = [f"NULL::boolean AS {name}" for name in flags] + [f"NULL::bigint AS add_{name}" for name in merged.added]
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS pg_temp.merged_{table}")
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE merged_{table} ON COMMIT DROP AS SELECT {', '.join([*names, *extra])} "
        f"FROM {where} WITH NO DATA"
    )
    copy_in(connection, rows, f"pg_temp.merged_{table}", rows.column_names)
    assigned = [
        f"{name} = CASE WHEN c.set_{name} THEN {_later(name)} ELSE t.{name} END" for name in names if name != "id"
    ]
    assigned += [
        f"{name} = CASE WHEN c.add_{name} = 0 THEN t.{name} ELSE "
        f"least(greatest(coalesce(t.{name}, 0)::bigint + c.add_{name}, {INT4_MIN}), {INT4_MAX})::int END"
        for name in merged.added
    ]
    if table == "tags" and flags["set_name"].sum() > 1:
        # Names are unique at every moment, and two tags may have exchanged theirs.
        connection.exec_driver_sql(
            f"UPDATE {where} t SET name = '~' || md5(t.id) FROM pg_temp.merged_tags c WHERE t.id = c.id AND c.set_name"
        )
    connection.exec_driver_sql(
        f"UPDATE {where} t SET {', '.join(assigned)} FROM pg_temp.merged_{table} c WHERE t.id = c.id"
    )


def _later(name: str) -> str:
    return f"greatest(t.{name}, c.{name})" if name in LATER else f"c.{name}"


def _note_conflicts(work: Passage, mine: Incoming, held: Held, merged: Merged) -> None:
    order = fingerprinted(mine.table)
    for place, name in enumerate(substance(mine.table)):
        rows = np.flatnonzero(np.isin(merged.acts[:, place], CONFLICTS))
        if not len(rows):
            continue
        at = order.index(name) * FINGERPRINT_BYTES
        slot = slice(at, at + FINGERPRINT_BYTES)
        there = pa.array(rows)
        ids, ours, theirs = (column.take(there).to_pylist() for column in (held.ids, mine.rows[name], held.rows[name]))
        for position, row in enumerate(rows):
            act = Act(merged.acts[row, place])
            outcome = {Act.WAIT: "waiting", Act.CONFLICT_TO_SOURCE: "source"}.get(act, "target")
            work.book.found.append(
                Conflict(
                    mine.table,
                    ids[position],
                    name,
                    "changed",
                    column_policy(work.policies, name),
                    outcome,
                    mine.packed[row, slot].tobytes(),
                    held.packed[row, slot].tobytes(),
                    {"value": ours[position]},
                    {"value": theirs[position]},
                )
            )


def _move_base(work: Passage, mine: Incoming, base: Base, merged: Merged, written: Packed) -> None:
    source, target = new_base(mine.table, base, mine.packed, written, merged.acts)
    fresh = (source != base.source).any(axis=1) | (target != base.target).any(axis=1)
    # A row that came back after its deletion was seen has its old base, and a tombstone to lose.
    fresh |= pc.is_in(mine.rows["id"], pa.array(sorted(work.unburied), pa.string())).to_numpy()
    if fresh.any():
        mask = pa.array(fresh)
        put_base(
            work.connection,
            mine.table,
            mine.rows.filter(mask),
            source[fresh],
            target=target[fresh],
            stored=merged.rows.filter(mask),
            adopted=None,
        )
