"""How credentials did, in numbers."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from credstore_pipeline.store.figures import CredentialStats, Performer, TagCredentialStats
from credstore_pipeline.store.models import (
    FAILURES,
    LINK_FAILURES,
    LINK_SUCCESSES,
    PRIORITY,
    STATED_AT,
    SUCCESSES,
    AssociationRow,
    CredentialRow,
)
from credstore_pipeline.store.operations import Operations

ACTIVE_DAYS = 30
PERFORMERS = 5
ENOUGH_ATTEMPTS, ENOUGH_ATTEMPTS_UNDER_TAG = 10, 5
"""From so many attempts on a credential is among the performers."""

Counts = sa.ColumnElement[int]


class StatisticsOperations(Operations):
    """Statistics over all credentials, or over a tag's; each taken at one moment."""

    def get_credential_stats(self) -> CredentialStats:
        """Return totals, rates in percent, and the best and worst credentials with at least ten attempts."""
        totals = sa.select(*_totals(sa.func.count(), CredentialRow.last_used, SUCCESSES, FAILURES)).select_from(
            CredentialRow
        )
        performers = sa.select(CredentialRow.id, CredentialRow.name, SUCCESSES, SUCCESSES + FAILURES, sa.null()).where(
            SUCCESSES + FAILURES >= ENOUGH_ATTEMPTS
        )

        def ask(session: Session) -> CredentialStats:
            return CredentialStats(
                *_summary(session.execute(totals).one()),
                top_performers=_performers(session, performers, SUCCESSES, FAILURES, best=True),
                poor_performers=_performers(session, performers, SUCCESSES, FAILURES, best=False),
            )

        return self._transactions.read_consistently("credential statistics", ask)

    def get_tag_credential_stats(self, tag_id: str) -> TagCredentialStats:
        """Return the same for what was counted under a tag, performers from five attempts on; zeros if unknown."""
        under_tag = AssociationRow.tag_id == tag_id
        total = sa.func.count(AssociationRow.credential_id.distinct())
        totals = sa.select(*_totals(total, AssociationRow.last_used, LINK_SUCCESSES, LINK_FAILURES)).where(under_tag)
        attempts = LINK_SUCCESSES + LINK_FAILURES
        performers = (
            sa.select(CredentialRow.id, CredentialRow.name, LINK_SUCCESSES, attempts, PRIORITY)
            .join_from(AssociationRow, CredentialRow, AssociationRow.credential_id == CredentialRow.id)
            .where(under_tag, attempts >= ENOUGH_ATTEMPTS_UNDER_TAG)
        )

        def ask(session: Session) -> TagCredentialStats:
            return TagCredentialStats(
                *_summary(session.execute(totals).one()),
                top_performers=_performers(session, performers, LINK_SUCCESSES, LINK_FAILURES, best=True),
                poor_performers=_performers(session, performers, LINK_SUCCESSES, LINK_FAILURES, best=False),
                tag_id=tag_id,
            )

        return self._transactions.read_consistently(f"statistics of tag id={tag_id}", ask)


def _totals(total: Any, last_used: Any, successes: Any, failures: Any) -> tuple[Any, ...]:
    lately = last_used >= STATED_AT - sa.func.make_interval(0, 0, 0, ACTIVE_DAYS)
    return (
        total,
        sa.func.count().filter(lately),
        sa.func.coalesce(sa.func.sum(successes), 0),
        sa.func.coalesce(sa.func.sum(failures), 0),
    )


def _summary(row: sa.Row[Any]) -> tuple[int, int, float, float]:
    total, active, successes, failures = (int(number) for number in row)
    attempts = successes + failures
    return total, active, _percent(successes, attempts), _percent(failures, attempts)


def _percent(part: int, attempts: int) -> float:
    return round(100 * part / attempts, 2) if attempts else 0.0


def _performers(session: Session, rows: Any, successes: Any, failures: Any, *, best: bool) -> tuple[Performer, ...]:
    rate = sa.cast(successes, sa.Double) / (successes + failures)
    order = rate.desc() if best else rate.asc()
    # Of equal rates the one with more attempts behind it says more.
    page = rows.order_by(order, (successes + failures).desc(), CredentialRow.id).limit(PERFORMERS)
    return tuple(
        Performer(row_id, name, 100 * won / attempts, 100 * (attempts - won) / attempts, attempts, priority)
        for row_id, name, won, attempts, priority in session.execute(page)
    )
