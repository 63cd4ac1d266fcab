"""What became of a transaction whose COMMIT was never answered."""

from enum import Enum

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from credstore_pipeline.core.errors import TransientTargetError

IN_FUTURE = "22023"
"""SQLSTATE for a transaction's number that the server has not given out."""


class Outcome(Enum):
    """What the server knows."""

    COMMITTED = "committed"
    ABORTED = "rolled back"
    UNKNOWN = "unknown"


def ask_outcome(session: Session, number: int, mark: str | None) -> Outcome:
    """Ask the server for a transaction's outcome; never guesses.

    A server that crashed may have lost the transaction's number and given it out again, so that `committed`
    then speaks of another transaction; a crash shows in the statistics' reset, since only a crash loses them.

    Args:
        session: Any connection to the same database.
        number: What `txid_current()` said in the transaction.
        mark: The statistics' reset as it was when the lost connection was made.

    Raises:
        TransientTargetError: If the server still works on it.
    """
    statistics = sa.table("pg_stat_bgwriter", sa.column("stats_reset"), schema="pg_catalog")
    reset = sa.select(sa.cast(statistics.c.stats_reset, sa.Text)).scalar_subquery()
    try:
        status, reset_now = session.execute(sa.select(sa.func.txid_status(number), reset)).one()
    except DBAPIError as error:
        if getattr(error.orig, "pgcode", None) == IN_FUTURE:
            return Outcome.ABORTED
        raise
    if status == "aborted":
        return Outcome.ABORTED
    if mark is None or reset_now != mark:
        return Outcome.UNKNOWN
    if status == "in progress":
        raise TransientTargetError("COMMIT", "the server still works on it")
    return Outcome.COMMITTED if status == "committed" else Outcome.UNKNOWN
