"""The report's four pictures, each from the table that stands beside it."""

from credstore_pipeline.report.pictures import Picture, bars, course
from credstore_pipeline.report.told import Rows

MOST = 16
"""Bars of the census; what is beyond stands in the table."""

SIDES = ("SQLite", "PostgreSQL", "quarantine")
DRIFT = ("rows behind", "quarantined", "conflicts waiting")


def census_picture(rows: Rows) -> Picture:
    """How passwords were stored: `sections.before`."""
    shown = rows if len(rows) <= MOST else rows[: MOST - 1]
    rest = sum(row["rows"] for row in rows[len(shown) :])
    labels = [row["stored as"] for row in shown] + [f"{len(rows) - len(shown)} others"] * (shown is not rows)
    return bars(labels, {"rows": [row["rows"] for row in shown] + [rest] * (shown is not rows)}, "credentials")


def sides_picture(rows: Rows) -> Picture:
    """SQLite beside PostgreSQL: `sections.both_sides`."""
    return bars([row["table"] for row in rows], {name: [row[name] for row in rows] for name in SIDES}, "rows")


def timing_picture(rows: Rows) -> Picture:
    """Time by stage: `sections.seconds`."""
    return bars([row["stage"] for row in rows], {"seconds": [row["seconds"] for row in rows]}, "seconds")


def drift_picture(rows: Rows) -> Picture:
    """What each run found to carry over: `history.history`."""
    when = [run["ended"][5:16].replace("T", " ") for run in rows]
    return course(when, {name: [run[name] for run in rows] for name in DRIFT}, "rows")
