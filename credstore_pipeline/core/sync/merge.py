"""Three-way merge, column by column: base, source and target are compared by fingerprint alone."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from credstore_pipeline.core.deployment import Policies
from credstore_pipeline.core.load.columns import COUNTERS, FINGERPRINT_BYTES, LATER, SCHEMAS, fingerprinted, substance
from credstore_pipeline.core.load.meaning import Packed
from credstore_pipeline.core.sync.policy import column_policy

INT4_MIN, INT4_MAX = -(2**31), 2**31 - 1

Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int8]


class Act(IntEnum):
    """What becomes of one column of one row."""

    KEEP = 0
    TAKE = 1
    AGREE = 2
    WAIT = 3
    CONFLICT_TO_SOURCE = 4
    CONFLICT_TO_TARGET = 5


_BY_POLICY = {"manual": Act.WAIT, "source": Act.CONFLICT_TO_SOURCE, "target": Act.CONFLICT_TO_TARGET}
TAKEN = (Act.TAKE, Act.CONFLICT_TO_SOURCE)
CONFLICTS = (Act.WAIT, Act.CONFLICT_TO_SOURCE, Act.CONFLICT_TO_TARGET)


@dataclass(frozen=True)
class Base:
    """What was last agreed on some rows, in their order.

    Attributes:
        source: Fingerprints of the source's side.
        target: Fingerprints of the target's side.
        counters: Counter -> its value last seen in the source; null where it was not kept.
        target_counters: Counter -> its value last seen in the target; null where it was the source's.
    """

    source: Packed
    target: Packed
    counters: dict[str, pa.Array]
    target_counters: dict[str, pa.Array]


@dataclass(frozen=True)
class Merged:
    """What the rows become.

    Attributes:
        rows: The rows as they will stand in the target.
        acts: `Act` a row and column of `substance(table)`.
        added: Counter -> what is added to the target's value.
        later: Time -> rows whose value is set to the source's.
        resets: Counters that stood below their own base.
        touched: Rows of the target that have to be written.
    """

    rows: pa.Table
    acts: Codes
    added: dict[str, npt.NDArray[np.int64]]
    later: dict[str, Mask]
    resets: int
    touched: Mask


def differs(one: Packed, other: Packed) -> Mask:
    """Which columns of which rows have other fingerprints: (rows, columns)."""
    count, width = one.shape
    apart: Mask = (one != other).reshape(count, width // FINGERPRINT_BYTES, FINGERPRINT_BYTES).any(axis=2)
    return apart


def moved(table: str, base: Base, target: Packed) -> Mask:
    """Which columns of `substance(table)` the target changed since: neither side's base says what it holds now."""
    order = fingerprinted(table)
    chosen = [order.index(name) for name in substance(table)]
    away: Mask = (differs(target, base.target) & differs(target, base.source))[:, chosen]
    return away


def merge(
    table: str, base: Base, source: Packed, target: Packed, incoming: pa.Table, stored: pa.Table, policies: Policies
) -> Merged:
    """Decide every column of rows that are on both sides; nothing is written.

    Args:
        table: Which table they are of.
        base: What was last agreed.
        source: Fingerprints of the source's rows.
        target: Fingerprints of the target's rows as they stand.
        incoming: The source's validated rows, with the columns of `SCHEMAS[table]`.
        stored: The target's rows, likewise.
        policies: What conflicts become.
    """
    acts = decide(table, base, source, target, policies)
    columns = {name: _one(stored[name]) for name in SCHEMAS[table].names}
    for place, name in enumerate(substance(table)):
        taken = np.isin(acts[:, place], TAKEN)
        columns[name] = pc.if_else(pa.array(taken), _one(incoming[name]), columns[name])
    touched: Mask = np.asarray(np.isin(acts, TAKEN).any(axis=1))
    added, resets = {}, 0
    for name in COUNTERS if "success_count" in columns else ():
        added[name], reset = _growth(_one(incoming[name]), base.counters[name])
        resets += reset
        columns[name] = _sum(columns[name], added[name])
        touched |= added[name] != 0
    changed = differs(source, base.source)
    later = {}
    for name in LATER:
        if name not in columns:
            continue
        ours, theirs = _one(incoming[name]), columns[name]
        newer = pc.fill_null(pc.or_kleene(pc.greater(ours, theirs), pc.and_(ours.is_valid(), theirs.is_null())), False)
        later[name] = newer.to_numpy(zero_copy_only=False) & changed[:, fingerprinted(table).index(name)]
        columns[name] = pc.if_else(pa.array(later[name]), ours, theirs)
        touched |= later[name]
    rows = pa.table(columns, schema=SCHEMAS[table])
    return Merged(rows, acts, added, later, resets, touched)


def decide(table: str, base: Base, source: Packed, target: Packed, policies: Policies) -> Codes:
    """`Act` a row and column of `substance(table)`."""
    order = fingerprinted(table)
    names = substance(table)
    chosen = [order.index(name) for name in names]
    ours = differs(source, base.source)[:, chosen]
    theirs = moved(table, base, target)
    same = ~differs(source, target)[:, chosen]
    acts: Codes = np.full(ours.shape, Act.KEEP, dtype=np.int8)
    acts[ours & ~theirs] = Act.TAKE
    acts[ours & same] = Act.AGREE
    for place, name in enumerate(names):
        fought = ours[:, place] & theirs[:, place] & ~same[:, place]
        acts[fought, place] = _BY_POLICY[column_policy(policies, name)]
    return acts


def new_base(table: str, base: Base, source: Packed, written: Packed, acts: Codes) -> tuple[Packed, Packed]:
    """The base after the merge, both sides: it moves in a column only where both sides are agreed on it.

    While a conflict waits, the base stays where it was, so that the next pass sees the same conflict, or none if
    one side gave way. What the target changed for itself stays its own until both sides mean the same again.
    """
    order = fingerprinted(table)
    ours, theirs = source.copy(), written.copy()
    for place, name in enumerate(substance(table)):
        at = order.index(name) * FINGERPRINT_BYTES
        slot = slice(at, at + FINGERPRINT_BYTES)
        waits = acts[:, place] == Act.WAIT
        ours[waits, slot] = base.source[waits, slot]
        settled = np.isin(acts[:, place], (Act.TAKE, Act.AGREE, Act.CONFLICT_TO_SOURCE))
        theirs[~settled, slot] = base.target[~settled, slot]
    return ours, theirs


def _growth(now: pa.Array, before: pa.Array) -> tuple[npt.NDArray[np.int64], int]:
    """By how much a counter grew, and how many were reset: a value below its own base counts from zero."""
    value = pc.fill_null(now, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    known = before.is_valid().to_numpy(zero_copy_only=False)
    base = pc.fill_null(before, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    reset = known & (value < base)
    grown = np.where(reset, np.maximum(value, 0), value - base)
    return np.where(known, grown, 0), int(reset.sum())


def _sum(stored: pa.Array, added: npt.NDArray[np.int64]) -> pa.Array:
    """What the target's counter becomes; as the statement that adds has it."""
    value = pc.fill_null(stored, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    total = pa.array(np.clip(value + added, INT4_MIN, INT4_MAX))
    return pc.if_else(pa.array(added != 0), total, stored.cast(pa.int64()))


def _one(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
