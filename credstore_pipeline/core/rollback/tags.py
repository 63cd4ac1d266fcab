"""Tags under the ids that the old store gave them, where the load had mapped them to others."""

from dataclasses import dataclass

import pyarrow as pa

from credstore_pipeline.core.rollback.file import Old


@dataclass(frozen=True)
class TagsBack:
    """Rows of the target as the old store names their tags.

    Attributes:
        tags: Rows to write.
        links: Associations with `tag_id` as the old store had it.
    """

    tags: pa.Table
    links: pa.Table


def tags_back(tags: pa.Table, links: pa.Table, tag_map: dict[str, str], old: Old) -> TagsBack:
    """Undo the mapping of tags.

    A target tag that stands for source tags is written once for each of them, under its id, with the target's name
    and meaning where that is the only one; a second tag of the same name keeps the file's own name by having the same.

    Args:
        tags: The target's tags.
        links: The target's associations.
        tag_map: Source tag id -> target tag id.
        old: What the old store had.
    """
    known, pairs = old.tags, old.links
    stands_for: dict[str, list[str]] = {}
    for source, target in tag_map.items():
        if source in known:
            stands_for.setdefault(target, []).append(source)
    ids = tags["id"].to_pylist()
    order, written = [], []
    for position, tag in enumerate(ids):
        names = sorted(stands_for.get(tag, []))
        if not names or (tag in known and tag not in names):
            names = [tag, *names]
        order += [position] * len(names)
        written += names
    back = tags.take(pa.array(order, pa.int64()))
    back = back.set_column(back.schema.get_field_index("id"), "id", pa.array(written, pa.string()))

    def name(link: str, tag: str) -> str:
        before = pairs.get(link)
        if before is not None and tag_map.get(before, before) == tag:
            return before
        names = stands_for.get(tag)
        return tag if tag in known or not names else min(names)

    named = zip(links["id"].to_pylist(), links["tag_id"].to_pylist(), strict=True)
    renamed = pa.array([name(link, tag) for link, tag in named], pa.string())
    return TagsBack(back, links.set_column(links.schema.get_field_index("tag_id"), "tag_id", renamed))
