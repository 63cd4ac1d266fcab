"""How old the target may be while re-syncs run by themselves."""

import datetime

import dagster as dg
from dagster._utils.schedules import get_smallest_cron_interval

from credstore_pipeline.settings_window import at_load

INTERVALS = 4
"""Re-syncs that may be missed before the target counts as stale."""


def freshness() -> dg.FreshnessPolicy | None:
    """The policy of the target's tables; None unless re-syncs are enabled, since nothing refreshes them then."""
    settings = at_load()
    if not settings.CREDSTORE_RESYNC_ENABLED:
        return None
    every = get_smallest_cron_interval(settings.CREDSTORE_RESYNC_CRON, "UTC")
    # Dagster takes no window below a minute.
    return dg.FreshnessPolicy.time_window(fail_window=max(INTERVALS * every, datetime.timedelta(minutes=1)))
