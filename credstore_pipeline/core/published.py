"""Passwords that anyone can read in the application's source: which rows of the store have one."""

import pyarrow as pa

from credstore_pipeline.core.cells import cells_as_text
from credstore_pipeline.core.validation.gates import LISTED, Verdict


def published_rows(extracted: pa.Table, judged: pa.Table) -> list[dict[str, str | int]]:
    """List the credentials whose password is one of the application's published defaults, by id.

    Args:
        extracted: The extracted credentials.
        judged: The verdicts on them, in the same order.
    """
    found = extracted.filter(judged["published_default"].combine_chunks())
    ids = cells_as_text(found["id"])[0].to_pylist() if "id" in found.column_names else [None] * found.num_rows
    rowids = found["source_rowid"].to_pylist()
    return [{"credential": row_id or "NULL", "row": rowid} for row_id, rowid in zip(ids, rowids, strict=True)]


def published_verdict(rows: list[dict[str, str | int]], before: int = 0) -> Verdict:
    """Say which credentials to change; a warning, since their passwords are migrated like any other.

    Args:
        rows: Those found now.
        before: How many there were when all rows were looked at last, if not all are now.
    """
    if not rows and before:
        text = (
            f"{before} credentials had a password that the application publishes as its default when all rows were "
            "looked at last; the rows that changed since have none. The job `preflight` names them."
        )
        return Verdict(False, text, {"published_defaults": before}, fatal=False)
    if not rows:
        return Verdict(True, "No password is one of the application's published defaults.", {"published_defaults": 0})
    ids = ", ".join(str(row["credential"]) for row in rows[:LISTED])
    more = f" and {len(rows) - LISTED} more" if len(rows) > LISTED else ""
    text = (
        f"{len(rows)} credentials have a password that the application publishes as its default, and that everyone "
        f"can know: {ids}{more}. They are migrated like any other. Change them on the devices and in the store."
    )
    return Verdict(False, text, {"published_defaults": len(rows)}, fatal=False)
