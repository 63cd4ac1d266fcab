"""How credentials are ranked under a tag, as SQL (docs/store.md, "Smart selection" and "Priorities from use").

The application's formulas; NULL counts as 0, and a time in the future as now.
"""

from typing import Any

import sqlalchemy as sa

from credstore_pipeline.store.models import (
    FAILURES,
    LINK_FAILURES,
    LINK_SUCCESSES,
    PRIORITY,
    STATED_AT,
    SUCCESSES,
    AssociationRow,
)

ENOUGH_ATTEMPTS = 3
"""From so many attempts on a rate is believed."""

REMEMBERED_DAYS = 30.0
FULL_PRIORITY, NO_PRIORITY = 100.0, 1e-9
RATE_WEIGHT, PRIORITY_WEIGHT, RECENCY_WEIGHT = 0.75, 0.15, 0.1
OPTIMIZED_RATE_WEIGHT, OPTIMIZED_RECENCY_WEIGHT = 0.7, 0.3

Number = sa.ColumnElement[Any]

ATTEMPTS = LINK_SUCCESSES + LINK_FAILURES
"""Under the tag."""

_ALL_ATTEMPTS = SUCCESSES + FAILURES
_RATE: Number = sa.cast(LINK_SUCCESSES, sa.Double) / sa.func.nullif(ATTEMPTS, 0)
_OVERALL_RATE: Number = sa.cast(SUCCESSES, sa.Double) / sa.func.nullif(_ALL_ATTEMPTS, 0)


def smart_score() -> Number:
    """Return the score that `get_smart_credentials_for_tag` orders by: success, some priority, some recency."""
    rate = sa.case(
        (ATTEMPTS >= ENOUGH_ATTEMPTS, _RATE),
        (_ALL_ATTEMPTS >= ENOUGH_ATTEMPTS, _OVERALL_RATE),
        else_=sa.literal(0.5, sa.Double),
    )
    # PostgreSQL refuses a quotient too small for a double, and with it the whole selection.
    share = sa.case((sa.func.abs(PRIORITY) < NO_PRIORITY, 0.0), else_=PRIORITY / FULL_PRIORITY)
    priority = sa.func.least(1.0, share)
    recency = sa.func.coalesce(_recency(), 0.0)
    return RATE_WEIGHT * rate + PRIORITY_WEIGHT * priority + RECENCY_WEIGHT * recency


def optimized_score() -> Number:
    """Return what `optimize_credential_priorities` ranks by; only for associations with attempts."""
    recent = OPTIMIZED_RATE_WEIGHT * _RATE + OPTIMIZED_RECENCY_WEIGHT * _recency()
    return sa.func.coalesce(recent, _RATE)


def _recency() -> Number:
    """1 for a success today, falling by the day to 0 after 30; NULL without any success."""
    seconds = sa.extract("epoch", STATED_AT - AssociationRow.last_success)
    days: Number = sa.func.floor(sa.cast(seconds, sa.Double) / 86_400.0)
    # least() and greatest() pass over NULL, which has to stay NULL here.
    clamped = sa.func.least(1.0, sa.func.greatest(0.0, 1.0 - days / REMEMBERED_DAYS))
    return sa.case((AssociationRow.last_success.is_not(None), clamped))
