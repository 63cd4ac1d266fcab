"""The proofs in reverse: the new file read as the pipeline reads any legacy store, and compared with the target."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.errors import ProofFailed
from credstore_pipeline.core.frames import TABLES, Frame
from credstore_pipeline.core.judging import judge
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load.columns import FINGERPRINT_BYTES, fingerprinted
from credstore_pipeline.core.load.meaning import Meaning, Packed
from credstore_pipeline.core.rollback.file import Filled
from credstore_pipeline.core.rollback.losses import Loss
from credstore_pipeline.core.source.extract import extract
from credstore_pipeline.core.source.inspect import TableShape
from credstore_pipeline.core.validation.validate import Validated, validate

REPAIRED_FROM_NULL = frozenset(
    ("use_keys", "priority", "success_count", "failure_count", "created_at", "updated_at", "password")
)
"""Columns that hold NULL in the file where they do in the target, and read as a safe value."""

SHOWN = 5
_STATE = "The new file is removed; both stores are as they were."


@dataclass(frozen=True)
class Proven:
    """What reading the file back gave.

    Attributes:
        validated: Rows of the file as a re-sync would see them.
        rows: The target's rows, under the ids that the file gives them.
        aliases: Target's id of an association -> its id by the file, where that holds none.
        losses: What the file does not hold.
        compared: Rows that were compared, column by column.
    """

    validated: Validated
    rows: dict[str, pa.Table]
    aliases: dict[str, str]
    losses: list[Loss]
    compared: int


def prove_file(
    path: Path,
    deployment: Deployment,
    ring: KeyRing,
    run_id: str,
    *,
    wrapped_data_key: bytes,
    meaning: Meaning,
    rows: dict[str, pa.Table],
    filled: Filled,
    shut: tuple[str, ...],
    held: dict[str, set[str]],
    required: dict[str, set[str]],
) -> Proven:
    """Read the file back, open every password, and compare it with the target in every column.

    Args:
        path: The new file.
        deployment: Its policies but for those that would refuse what the target holds.
        ring: Opens both sides.
        run_id: This run.
        wrapped_data_key: The target's.
        meaning: Fingerprints under it.
        rows: The target's rows by table.
        filled: What the file took.
        shut: Credentials whose password no key opens.
        held: Ids of quarantined rows, by table.
        required: Columns of the file that take no NULL, by table.

    Raises:
        ProofFailed: If the file holds another meaning than the target where it could hold the same.
    """
    lenient = replace(deployment, policies=replace(deployment.policies, plaintext="encrypt", missing_tags="quarantine"))
    extracted = {table: extract(path, table, filled.shape) for table in TABLES}
    for table, frame in extracted.items():
        if frame.rows.num_rows != filled.rows.get(table, 0):
            raise _failed(table, f"{filled.rows.get(table, 0)} rows were written, {frame.rows.num_rows} are there")
    judged = judge(extracted["credentials"], ring, wrapped_data_key, lenient.policies)
    now = datetime.now(UTC).isoformat()
    snapshot = Frame({"rows": pa.table({})}, {"began_at": now, "shape": json.dumps(filled.shape.as_json())})
    found = validate(lenient, ring, run_id, snapshot, extracted, judged, agreed=True)
    aliases: dict[str, str] = {}
    if "credential_tags" in filled.shape.tables and "id" not in filled.shape.tables["credential_tags"].columns:
        aliases = _aliases(rows["credential_tags"], found.frames["credential_tags"].rows)
    renamed = {**rows, "credential_tags": _renamed(rows["credential_tags"], aliases)}
    losses, compared = [], 0
    for table in TABLES:
        lost, count = _compare(table, renamed[table], found, filled, meaning, set(shut), held, required)
        losses += lost
        compared += count
    if aliases:
        losses.append(Loss("credential_tags.id", "the file gives associations no id", tuple(sorted(aliases))))
    if shut:
        losses.append(Loss("credentials.password", "no key opens them; written as they stand", shut))
    if filled.displaced:
        losses.append(Loss("quarantine", "the target has a row of that id or name", tuple(filled.displaced)))
    return Proven(found, renamed, aliases, losses, compared)


def _compare(
    table: str,
    rows: pa.Table,
    found: Validated,
    filled: Filled,
    meaning: Meaning,
    shut: set[str],
    held: dict[str, set[str]],
    required: dict[str, set[str]],
) -> tuple[list[Loss], int]:
    validated = found.frames[table].rows
    ids: list[str] = rows["id"].to_pylist()
    shape = filled.shape.tables.get(table)
    known = set(validated["id"].to_pylist())
    # A row of the target that the rules would refuse today was written as it stands.
    refused = found.quarantine.rows.filter(pc.equal(found.quarantine.rows["source_table"], table))
    known |= set(refused["source_id"].to_pylist())
    if table == "tags":
        known |= set(found.frames["tags"].tables["tag_map"]["target_id"].to_pylist())
    missing = [row_id for row_id in ids if row_id not in known]
    losses = []
    if missing and shape is None:
        losses.append(Loss(table, "the file has no such table", tuple(missing)))
    elif missing:
        doubled = set(filled.doubled)
        if table != "credential_tags" or not set(missing) <= doubled:
            raise _failed(table, f"{_named(missing)} of the target are not in the file")
        losses.append(Loss(table, "the file holds a pair once", tuple(missing)))
    invented = set(validated["id"].to_pylist()) - set(ids) - held.get(table, set())
    if invented:
        raise _failed(table, f"{_named(sorted(invented))} of the file are not in the target")
    there = rows.filter(pc.is_in(rows["id"], validated["id"].combine_chunks()))
    at = pc.index_in(there["id"], validated["id"].combine_chunks())
    mine = validated.take(at)
    packed = meaning.of_validated(table, mine)
    stored, _ = meaning.of_stored(table, there, only_primary=False)
    losses += _columns(table, there, packed, stored, shape, shut, required.get(table, set()))
    return losses, there.num_rows


def _columns(
    table: str,
    rows: pa.Table,
    packed: Packed,
    stored: Packed,
    shape: TableShape | None,
    shut: set[str],
    required: set[str],
) -> list[Loss]:
    names = fingerprinted(table)
    differing = (packed != stored).reshape(len(packed), len(names), FINGERPRINT_BYTES).any(axis=2)
    ids = rows["id"].to_pylist()
    losses = []
    for position, name in enumerate(names):
        mask = differing[:, position]
        if name in REPAIRED_FROM_NULL and name not in required:
            mask &= ~np.asarray(rows[name].is_null().to_numpy(zero_copy_only=False), dtype=bool)
        wrong = [ids[at] for at in np.flatnonzero(mask) if not (name == "password" and ids[at] in shut)]
        if not wrong:
            continue
        if shape is not None and name in shape.columns and name not in required:
            raise _failed(table, f"{_named(wrong)} differ in {name}")
        why = "the column takes no NULL" if name in required else "the file has no such column"
        losses.append(Loss(f"{table}.{name}", why, tuple(wrong)))
    return losses


def _aliases(rows: pa.Table, validated: pa.Table) -> dict[str, str]:
    """Pair the target's associations with the file's, whose ids are made from the pair."""
    free: dict[tuple[Any, Any], list[str]] = {}
    ours = set(rows["id"].to_pylist())
    for row_id, *pair in _with_pairs(validated):
        if row_id not in ours:
            free.setdefault(tuple(pair), []).append(row_id)
    made = set(validated["id"].to_pylist())
    found = {}
    for row_id, *pair in _with_pairs(rows):
        if row_id not in made and free.get(tuple(pair)):
            found[row_id] = free[tuple(pair)].pop(0)
    return found


def _with_pairs(rows: pa.Table) -> list[tuple[Any, Any, Any]]:
    names = ("id", "credential_id", "tag_id")
    return list(zip(*(rows[name].to_pylist() for name in names), strict=True))


def _renamed(rows: pa.Table, aliases: dict[str, str]) -> pa.Table:
    if not aliases:
        return rows
    ids = [aliases.get(row_id, row_id) for row_id in rows["id"].to_pylist()]
    return rows.set_column(rows.schema.get_field_index("id"), "id", pa.array(ids, pa.string()))


def _failed(table: str, wrong: str) -> ProofFailed:
    return ProofFailed(f"rollback, {table}", wrong, state=_STATE, todo="Report this; nothing needs mending.")


def _named(ids: list[str]) -> str:
    return f"{len(ids)} rows (id {', '.join(str(row_id) for row_id in ids[:SHOWN])}{', …' if len(ids) > SHOWN else ''})"
