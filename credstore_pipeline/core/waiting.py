"""What still waits for a person: conflicts, and rows in quarantine beyond what is allowed."""

from dataclasses import dataclass

from sqlalchemy import Connection

from credstore_pipeline.core.deployment import Policies
from credstore_pipeline.core.reasons import NOT_COUNTED_AS_LINKS


@dataclass(frozen=True)
class Waiting:
    """Open rows of `credstore_sync`, counted.

    Attributes:
        conflicts: Changed on both sides to different meanings, undecided.
        credentials: Credentials in quarantine.
        links: Tags and associations in quarantine for their own sake.
        quarantined: All rows in quarantine.
        quarantined_changes: Those of them that were loaded once: the target keeps their last good state.
    """

    conflicts: int
    credentials: int
    links: int
    quarantined: int
    quarantined_changes: int

    def refusals(self, policies: Policies) -> list[str]:
        """Say what stands in the way of an end of the window; empty if nothing does."""
        found = []
        if self.conflicts:
            found.append(f"{self.conflicts} conflicts wait: settle them with the job `resolve_conflicts`")
        for count, allowed, what, setting in (
            (self.credentials, policies.max_quarantined, "credentials", "CREDSTORE_MAX_QUARANTINED"),
            (self.links, policies.max_quarantined_links, "tags and associations", "CREDSTORE_MAX_QUARANTINED_LINKS"),
        ):
            if count > allowed:
                found.append(f"{count} {what} are in quarantine, {allowed} allowed ({setting})")
        return found


def waiting(connection: Connection) -> Waiting:
    """Count what waits; the schema is of our version."""
    conflicts = connection.exec_driver_sql(
        "SELECT count(*) FROM credstore_sync.conflicts WHERE outcome = 'waiting'"
    ).scalar_one()
    rows = connection.exec_driver_sql(
        "SELECT source_table, reason, of_loaded_row, count(*) FROM credstore_sync.quarantine "
        "WHERE resolved_at IS NULL GROUP BY 1, 2, 3"
    ).all()
    return Waiting(
        conflicts=conflicts,
        credentials=sum(count for table, _, _, count in rows if table == "credentials"),
        links=sum(
            count for table, reason, _, count in rows if table != "credentials" and reason not in NOT_COUNTED_AS_LINKS
        ),
        quarantined=sum(row[3] for row in rows),
        quarantined_changes=sum(row[3] for row in rows if row[2]),
    )
