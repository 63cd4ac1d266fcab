"""Tables of the page: census before and after, keys, what stays behind and what to do, seconds by stage."""

from collections import defaultdict

from credstore_pipeline.core.frames import TABLES
from credstore_pipeline.core.reasons import WHAT_TO_DO, Reason
from credstore_pipeline.report.told import Rows, Told

CENSUS = "preflight/census"


def before(told: Told) -> Rows:
    """How passwords are stored in SQLite: encoding and verdict, rows."""
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for row in told.table(CENSUS, "Census"):
        wrapped = ", wrapped more than once" if row["wrapped"] == "more often" else ""
        shut = "" if row["verdict"] in ("opened", "null", "empty") else f": {row['verdict'].replace('_', ' ')}"
        key = f" under {row['key_id']}" if row["key_id"] else ""
        counts[f"{_ENCODINGS.get(row['encoding'], row['encoding'])}{key}{wrapped}{shut}", row["verdict"]] += row["rows"]
    ordered = sorted(counts.items(), key=lambda found: -found[1])
    return [{"stored as": name, "rows": rows} for (name, _), rows in ordered]


def after(told: Told) -> Rows:
    """How passwords stand in PostgreSQL, as the proofs read them."""
    if told.part("proofs") is None:
        return []
    ask = {
        "envelope under the target key, or none": "application_can_read.credentials_read",
        "in the clear, written by the pipeline": "no_plaintext_at_rest.plaintext",
        "in the clear, the application's own": "no_plaintext_at_rest.the_applications_own_plaintext",
        "not readable by the application": "application_can_read.credentials_unreadable",
    }
    found = [{"stands as": name, "rows": told.total("proofs", (figure,))} for name, figure in ask.items()]
    behind = told.total("validated", ("quarantined_credentials",))
    return [*found, {"stands as": "not there: in quarantine, sealed", "rows": behind}]


def both_sides(told: Told) -> Rows:
    """Rows of each table in SQLite, in PostgreSQL, in quarantine."""
    if told.part("proofs") is None:
        return []
    return [
        {
            "table": table,
            "SQLite": told.total("proofs", (f"row_counts_match.{table}_in_snapshot",)),
            "PostgreSQL": told.total("proofs", (f"row_counts_match.{table}_in_target",)),
            "quarantine": told.total("proofs", (f"row_counts_match.{table}_quarantined",)),
        }
        for table in TABLES
    ]


def keys(told: Told) -> Rows:
    """Which keys open how many rows in SQLite: each is needed until the application has left it."""
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for row in told.table(CENSUS, "Census"):
        if row["key_id"] and row["verdict"] == "opened":
            counts[row["key_id"], row["derivation"]] += row["rows"]
    return [
        {"key id": key, "derivation": derivation, "rows in SQLite": rows}
        for (key, derivation), rows in sorted(counts.items(), key=lambda found: -found[1])
    ]


def behind(told: Told) -> Rows:
    """Quarantined rows by reason, with what to do."""
    return [
        {
            "reason": row["reason"],
            "table": row["source_table"],
            "rows": row["rows"],
            "what to do": WHAT_TO_DO.get(Reason(row["reason"]), "") if row["reason"] in set(Reason) else "",
        }
        for row in told.table("validated", "Quarantine by reason")
    ]


def seconds(told: Told) -> Rows:
    """How long each stage took, with its own rate where it tells rows."""
    return [{"stage": part.stage, "seconds": round(part.seconds, 2), "ended": part.at} for part in told.parts]


_ENCODINGS = {
    "null": "no password (NULL)",
    "empty": "empty",
    "plaintext": "in the clear",
    "token": "token",
    "envelope": "envelope",
}
