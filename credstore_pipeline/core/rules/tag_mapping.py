"""Decides which tag of the target each tag of the file is: itself, or another one that stands for it.

A tag's name is unique in the target (docs/legacy-formats.md, "Conflicts"), and its id is what associations refer
to. Names compare exactly: case and trailing blanks count.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from credstore_pipeline.core.rules.verdict import TargetView

REMEMBERED = "remembered"
SAME_ID = "same_id_in_target"
SAME_NAME = "same_name_in_target"
SAME_NAME_IN_FILE = "same_name_in_file"


@dataclass(frozen=True)
class FileTag:
    """A tag of the file whose id and name can be used.

    Attributes:
        row: Its position in the extracted frame.
        id: Its id.
        name: Its name.
        writable: Whether every one of its columns fits the target.
    """

    row: int
    id: str
    name: str
    writable: bool


@dataclass(frozen=True)
class Mapping:
    """What becomes of the tags of the file.

    Attributes:
        own: Rows to be written under their own id.
        mapped: Row -> target tag id and how it was found.
    """

    own: frozenset[int]
    mapped: dict[int, tuple[str, str]]


def map_tags(tags: Sequence[FileTag], target: TargetView) -> Mapping:
    """Map each tag to the first that applies.

    1. What an earlier run mapped it to, while that tag exists; not itself, once that is one of ours.
    2. The application's tag of the same id in the target; it stays as it is.
    3. A tag of the same name in the target.
    4. A tag of the same name in the file: one that this pipeline wrote before, or the first one.
    5. Itself, if it is writable.

    A tag in neither `own` nor `mapped` cannot be written and has no other to stand for it.

    Args:
        tags: In the order of the file, each id once.
        target: Its tags, the remembered mapping and the ids of ours.
    """
    in_target = dict(zip(target.tags["id"].to_pylist(), target.tags["name"].to_pylist(), strict=True))
    mapped: dict[int, tuple[str, str]] = {}
    open_tags: list[FileTag] = []
    for tag in tags:
        remembered = target.tag_map.get(tag.id)
        ours = tag.id in target.own_tags
        if remembered is not None and remembered in in_target and not (ours and remembered == tag.id):
            mapped[tag.row] = (remembered, REMEMBERED)
        elif tag.id in in_target and not ours:
            mapped[tag.row] = (tag.id, SAME_ID)
        else:
            open_tags.append(tag)

    rewritten = _rewritten([tag for tag in open_tags if tag.id not in target.renamed_tags], in_target)
    taken = {name: tag_id for tag_id, name in in_target.items() if tag_id not in rewritten}
    for tag in open_tags:
        if taken.get(tag.name, tag.id) != tag.id:
            mapped[tag.row] = (taken[tag.name], SAME_NAME)
    open_tags = [tag for tag in open_tags if tag.row not in mapped]

    bearers = _bearers(tags, open_tags, mapped, rewritten | target.renamed_tags)
    own = {tag.row for tag in open_tags if tag.writable and bearers[tag.name] == tag.id}
    for tag in open_tags:
        if bearers.get(tag.name, tag.id) != tag.id:
            mapped[tag.row] = (bearers[tag.name], SAME_NAME_IN_FILE)
    return Mapping(frozenset(own), mapped)


def _rewritten(open_tags: Sequence[FileTag], in_target: dict[str, str]) -> frozenset[str]:
    """Tags of ours in the target that will have the file's name, not the one that the target shows today."""
    names = {tag.id: tag.name for tag in open_tags if tag.writable and tag.id in in_target}
    while True:
        taken = {name for tag_id, name in in_target.items() if tag_id not in names}
        firsts = {name: tag_id for tag_id, name in reversed(names.items())}
        kept = {tag_id: name for tag_id, name in names.items() if name not in taken and firsts[name] == tag_id}
        # One that cannot take its new name keeps the old one, which may be what the next one wants.
        if len(kept) == len(names):
            return frozenset(kept)
        names = kept


def _bearers(
    tags: Sequence[FileTag], open_tags: Sequence[FileTag], mapped: dict[int, tuple[str, str]], ours: frozenset[str]
) -> dict[str, str]:
    """Name -> id of the target tag that stands for all tags of that name in the file."""
    bearers: dict[str, str] = {}
    # One that the target already shows keeps its name: associations and the application's devices refer to it.
    for tag in open_tags:
        if tag.id in ours:
            bearers.setdefault(tag.name, tag.id)
    open_rows = {tag.row for tag in open_tags if tag.writable}
    for tag in tags:
        if tag.row in mapped:
            bearers.setdefault(tag.name, mapped[tag.row][0])
        elif tag.row in open_rows:
            bearers.setdefault(tag.name, tag.id)
    return bearers
