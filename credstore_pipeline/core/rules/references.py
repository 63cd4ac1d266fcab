"""Finds what an association points to: its credential, and its tag in the file or in the target."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from credstore_pipeline.core.reasons import Reason
from credstore_pipeline.core.rules.faults import Faults
from credstore_pipeline.core.rules.parts import Mask, Positions, as_mask
from credstore_pipeline.core.rules.verdict import TargetView, Verdict

CREDENTIAL_QUARANTINED = "credential_id: its credential is quarantined"

MissingTags = Literal["quarantine", "placeholder"]


@dataclass(frozen=True)
class TagTargets:
    """Where the distinct tag ids of a file's associations lead.

    Attributes:
        target_ids: Source tag id -> target tag id.
        refused: Source ids of the file's tags that are quarantined.
        placeholders: Tag ids, in neither store, for which a tag is to be made.
    """

    target_ids: dict[str, str]
    refused: frozenset[str]
    placeholders: frozenset[str]


@dataclass(frozen=True)
class Parents:
    """What associations may point to.

    Attributes:
        loadable: Ids of validated credentials.
        extracted: Ids of all credentials of the file.
        tags: Where tag ids lead.
    """

    loadable: pa.Array
    extracted: pa.Array
    tags: TagTargets


def placeholder_name(tag_id: str) -> str:
    """Name of the tag that stands in for one that is in neither store."""
    return f"placeholder {tag_id}"


def find_tags(tag_ids: Iterable[str], tags: Verdict, target: TargetView, missing_tags: MissingTags) -> TagTargets:
    """Look up each distinct tag id: in the file first, then among remembered mappings, then in the target.

    Args:
        tag_ids: Distinct tag ids of associations, as the source has them.
        tags: The validated tags.
        target: What is known of the target.
        missing_tags: Whether a tag is made for an id that is found nowhere.
    """
    tag_map = tags.frame.tables["tag_map"]
    in_file = dict(zip(tag_map["source_id"].to_pylist(), tag_map["target_id"].to_pylist(), strict=True))
    in_file |= {tag_id: tag_id for tag_id in tags.frame.rows["id"].to_pylist()}
    refused = frozenset(tags.quarantine["source_id"].drop_null().to_pylist()) - in_file.keys()
    in_target = dict(zip(target.tags["id"].to_pylist(), target.tags["name"].to_pylist(), strict=True))
    names = set(in_target.values()) | set(tags.frame.rows["name"].to_pylist())

    found: dict[str, str] = {}
    made: set[str] = set()
    for tag_id in tag_ids:
        remembered = target.tag_map.get(tag_id)
        if tag_id in in_file:
            found[tag_id] = in_file[tag_id]
        elif tag_id in refused:
            # Refused is the change alone, of a tag that was loaded earlier: it bears what it bore.
            if tag_id in target.own_tags and tag_id in in_target:
                found[tag_id] = tag_id
        elif remembered is not None and remembered in in_target:
            found[tag_id] = remembered
        elif tag_id in in_target:
            found[tag_id] = tag_id
            if missing_tags == "placeholder" and _is_our_placeholder(tag_id, in_target[tag_id], target):
                made.add(tag_id)
        elif missing_tags == "placeholder" and _can_be_made(tag_id, names, target):
            found[tag_id] = tag_id
            made.add(tag_id)
    return TagTargets(found, refused, frozenset(made))


def refuse_by_reference(
    credential_ids: pa.Array,
    tag_ids: pa.DictionaryArray,
    parents: Parents,
    limit: int | None,
    faults: Faults,
) -> tuple[pa.StringArray, Positions]:
    """Refuse associations that point to what does not exist, or to what is quarantined.

    Args:
        credential_ids: As the source has them.
        tag_ids: As the source has them, encoded.
        parents: What they may point to.
        limit: Characters that the target's `tag_id` holds; a longer id that leads nowhere is `value_too_long`.
        faults: Takes the refused rows.

    Returns:
        The target's tag id of each row, null where there is none; and for each row a number that stands for its
        credential, -1 where that is not loaded.
    """
    bearers = pc.index_in(credential_ids, value_set=parents.loadable).fill_null(-1).to_numpy()
    unloaded = np.flatnonzero(bearers < 0)
    exists = as_mask(pc.is_in(credential_ids.take(pa.array(unloaded)), value_set=parents.extracted))
    source_ids = tag_ids.dictionary.to_pylist()
    target_ids = pa.array([parents.tags.target_ids.get(tag_id) for tag_id in source_ids], pa.string())
    lengths = np.array([len(tag_id) for tag_id in source_ids], dtype=np.int64)
    refused = np.array(
        [tag_id in parents.tags.refused and tag_id not in parents.tags.target_ids for tag_id in source_ids],
        dtype=np.bool_,
    )
    nowhere = ~as_mask(target_ids.is_valid()) & ~refused
    long = nowhere & (lengths > limit if limit is not None else False)
    of_row = tag_ids.indices.fill_null(len(source_ids)).to_numpy()

    def rows(chosen: Mask) -> Positions:
        return np.flatnonzero(np.append(chosen, False)[of_row])

    details = [f"tag_id: {length} characters, the column holds {limit}" for length in lengths[of_row[rows(long)]]]
    faults.add(Reason.VALUE_TOO_LONG, rows(long), details)
    faults.add(Reason.ORPHAN_CREDENTIAL, unloaded[~exists], "credential_id: no such credential in the source")
    faults.add(Reason.UNKNOWN_TAG, rows(nowhere), "tag_id: in neither store")
    faults.add(Reason.PARENT_QUARANTINED, unloaded[exists], CREDENTIAL_QUARANTINED)
    faults.add(Reason.PARENT_QUARANTINED, rows(refused), "tag_id: its tag is quarantined")
    return target_ids.take(tag_ids.indices), bearers


def _is_our_placeholder(tag_id: str, name: str, target: TargetView) -> bool:
    """Whether an earlier run made the tag; the application may have given it a name since."""
    listed = ("tags", tag_id, "name") in target.repaired
    return tag_id in target.own_tags and (listed or name == placeholder_name(tag_id))


def _can_be_made(tag_id: str, names: set[str], target: TargetView) -> bool:
    name = placeholder_name(tag_id)
    limits = [(tag_id, ("tags", "id")), (tag_id, ("credential_tags", "tag_id")), (name, ("tags", "name"))]
    fits = all((limit := target.limits[column]) is None or len(text) <= limit for text, column in limits)
    return fits and name not in names
