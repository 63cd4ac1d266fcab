"""What validation is told of the target, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from credstore_pipeline.core.frames import Frame

QUARANTINE = pa.schema(
    [
        ("source_table", pa.string()),
        ("source_rowid", pa.int64()),
        ("row_index", pa.int64()),
        ("source_id", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)
"""Refused rows. `row_index` is the position in the extracted frame; `detail` names columns and counts, no value."""

REPAIRS = pa.schema(
    [
        ("source_table", pa.string()),
        ("source_id", pa.string()),
        ("column_name", pa.string()),
        ("rule", pa.string()),
        ("value", pa.string()),
    ]
)
"""Repaired values. `source_id` is the written row's id, `*` for a column that the source table lacks."""

TAG_MAP = pa.schema(
    [("source_rowid", pa.int64()), ("source_id", pa.string()), ("target_id", pa.string()), ("how", pa.string())]
)
"""Tags that are not written because another tag stands for them."""

TAGS = pa.schema([("id", pa.string()), ("name", pa.string()), ("description", pa.string()), ("color", pa.string())])
"""Tags of the target, as far as names and meanings matter."""


@dataclass(frozen=True)
class TargetView:
    """What validation knows of the target.

    Attributes:
        limits: (table, column) -> characters that the column holds, None for unlimited. Has an entry for every
            column of text, by the application's models where the table does not exist yet.
        tags: Every tag in the target (`TAGS`).
        tag_map: Source tag id -> target tag id, as earlier runs mapped them.
        repaired: (table, row id or `*`, column) -> value of the first repair, None where none was listed.
        own_tags: Ids of tags that this pipeline wrote, or both stores agreed on.
        renamed_tags: Those of them that the application gave another name, which they keep.
        loaded_credentials: Ids of source credentials that were loaded earlier; as many as were asked about.
    """

    limits: Mapping[tuple[str, str], int | None]
    tags: pa.Table = field(default_factory=TAGS.empty_table)
    tag_map: Mapping[str, str] = field(default_factory=dict)
    repaired: Mapping[tuple[str, str, str], str | None] = field(default_factory=dict)
    own_tags: frozenset[str] = frozenset()
    renamed_tags: frozenset[str] = frozenset()
    loaded_credentials: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Verdict:
    """Each extracted row is in `frame`, in `quarantine` or (a tag) in the frame's `tag_map`, and in one of them.

    Attributes:
        frame: Rows as the target takes them, with `repairs`; tags also with `tag_map` and `differing`.
        quarantine: Refused rows (`QUARANTINE`), in the order of the source.
    """

    frame: Frame
    quarantine: pa.Table
