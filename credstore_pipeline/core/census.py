"""How every password is stored: rows by encoding, key, derivation and depth, before anything is written."""

import json

import pyarrow as pa
import pyarrow.compute as pc

from credstore_pipeline.core.frames import Frame

OPENED = ("opened", "null", "empty")
"""Verdicts of rows whose password is known."""

GROUPS = ("encoding", "key_id", "derivation", "wrapped", "verdict")


def count_by_key(judged: pa.Table) -> list[dict[str, str | int]]:
    """Rows of the judged table by encoding, key id, derivation, once or more often wrapped, and verdict.

    Returns:
        One entry a group, the largest first: the names in `GROUPS` and `rows`.
    """
    wrapped = pc.if_else(
        pc.greater(judged["layers"], 1), "more often", pc.if_else(pc.equal(judged["layers"], 1), "once", "no")
    )
    keyed = judged.select(["encoding", "key_id", "derivation", "verdict"]).append_column("wrapped", wrapped)
    for name in ("encoding", "key_id", "derivation", "verdict"):
        keyed = keyed.set_column(keyed.schema.get_field_index(name), name, pc.fill_null(keyed[name], ""))
    counted = keyed.group_by(list(GROUPS)).aggregate([([], "count_all")]).rename_columns([*GROUPS, "rows"])
    order = [("rows", "descending"), *((name, "ascending") for name in GROUPS)]
    return counted.sort_by(order).to_pylist()  # type: ignore[no-any-return]


def census(judged: pa.Table) -> dict[str, int]:
    """The numbers that operators compare: rows, opened, that no key opens, published defaults, keys in use."""
    opened = pc.is_in(judged["verdict"], pa.array(OPENED))
    unopenable = pc.equal(judged["verdict"], "undecryptable")
    return {
        "rows": judged.num_rows,
        "opened": _true(opened),
        "no_key_opens": _true(unopenable),
        "plaintext": _true(pc.equal(judged["encoding"], "plaintext")),
        "wrapped_more_often": _true(pc.greater(judged["layers"], 1)),
        "published_defaults": _true(judged["published_default"]),
        "kept_byte_for_byte": _true(judged["kept"]),
        "keys_in_use": pc.count_distinct(judged["key_id"]).as_py(),
    }


def unopened_rowids(judged: pa.Table) -> list[int]:
    """Source row ids of rows whose password was not opened."""
    unopened = pc.invert(pc.is_in(judged["verdict"], pa.array(OPENED)))
    return judged["source_rowid"].filter(unopened).to_pylist()  # type: ignore[no-any-return]


def census_of(frame: Frame) -> list[dict[str, str | int]]:
    """The census table that the judging step left in its frame's notes."""
    return json.loads(frame.notes["census"])  # type: ignore[no-any-return]


def _true(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(mask).as_py() or 0)
