"""Refuses, before anything is written, a source that is older, another, of another make, or suspiciously empty."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow.compute as pc
from sqlalchemy import Connection

from credstore_pipeline.core.deployment import Policies
from credstore_pipeline.core.errors import GuardRefused
from credstore_pipeline.core.frames import TABLES
from credstore_pipeline.core.sync.presence import Departed

ALWAYS_ALLOWED = 3
"""Deletions in a table that no guard asks about, unless they are all of its rows."""
SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """What a guard saw.

    Attributes:
        guard: Its name, to be confirmed in run config.
        number: The number that confirms it.
        text: What it saw.
    """

    guard: str
    number: int
    text: str


def look(
    connection: Connection,
    policies: Policies,
    departed: Mapping[str, Departed],
    source_rows: Mapping[str, int],
    flavours: tuple[str | None, str],
) -> list[Finding]:
    """Everything that is suspicious about the source, compared with the base.

    Args:
        connection: The load's transaction; `pg_temp.incoming_<table>` stand.
        policies: How large a part of a table may be deleted.
        departed: Rows of the base that the source has no more, by table; nothing if it is known to have them all.
        source_rows: Rows that the source has, by table.
        flavours: Of the last load, None before the first; and of this one.
    """
    findings = []
    before, now = flavours
    if before is not None and before != now:
        rows = sum(source_rows.values())
        findings.append(Finding("other_flavour", rows, f"flavour {now}, {rows} rows; the last load's was {before}"))
    older, shown = _went_back(connection)
    if older:
        findings.append(
            Finding("older_file", older, f"`updated_at` of {older} rows went back: the file is older ({shown})")
        )
    return findings + (_missing(policies, departed, source_rows) if departed else [])


def refuse(findings: list[Finding], confirmed: Mapping[str, int]) -> list[str]:
    """Let pass what was confirmed by its number, and say so; refuse the rest.

    Raises:
        GuardRefused: Naming every guard that is not confirmed, with the run config that does.
    """
    left = [finding for finding in findings if confirmed.get(finding.guard) != finding.number]
    if not left:
        return [f"Confirmed in run config: {finding.guard}, {finding.text}." for finding in findings]
    numbers = ", ".join(f"{finding.guard}: {finding.number}" for finding in findings)
    raise GuardRefused(
        "source",
        "; ".join(finding.text for finding in left),
        todo="Is it the right file, and whole? If all of this is meant, launch once more with run config "
        f"{{ops: {{postgres: {{config: {{confirm: {{{numbers}}}}}}}}}}}.",
    )


def accept_dates(connection: Connection) -> None:
    """Let the dates that were confirmed be those of the base, of rows too that the load does not write."""
    for table in TABLES:
        connection.exec_driver_sql(
            "UPDATE credstore_sync.row_state s SET source_updated_at = i.updated_at "
            f"FROM pg_temp.incoming_{table} i WHERE s.source_table = '{table}' AND s.row_id = i.id "
            "AND s.tombstone_at IS NULL AND i.updated_at < s.source_updated_at"
        )


def _went_back(connection: Connection) -> tuple[int, str]:
    count, shown = 0, []
    for table in TABLES:
        ids = connection.exec_driver_sql(
            f"SELECT i.id FROM pg_temp.incoming_{table} i JOIN credstore_sync.row_state s "
            f"ON s.source_table = '{table}' AND s.row_id = i.id AND s.tombstone_at IS NULL "
            "WHERE i.updated_at < s.source_updated_at ORDER BY i.id"
        ).scalars()
        found = list(ids)
        count += len(found)
        shown += [f"{table} id={row_id}" for row_id in found[:SHOWN]]
    return count, ", ".join(shown[:SHOWN]) + (", …" if count > SHOWN else "")


def _missing(policies: Policies, departed: Mapping[str, Departed], source_rows: Mapping[str, int]) -> list[Finding]:
    findings = []
    fresh = {table: found.rows.filter(pc.invert(found.rows["waiting"])) for table, found in departed.items()}
    # Associations are many and follow: they say little about whose file it is.
    base = sum(departed[table].base_rows for table in ("tags", "credentials"))
    gone = sum(fresh[table].num_rows for table in ("tags", "credentials"))
    if gone * 2 > base:
        what = "another store"
        if not source_rows["credentials"]:
            what = "an empty one"
        return [
            Finding(
                "other_store", gone, f"{gone} of the base's {base} tags and credentials are not in the file: {what}"
            )
        ]
    for table in TABLES:
        if departed[table].base_rows and not source_rows[table]:
            count = fresh[table].num_rows
            if count:
                findings.append(Finding(f"no_{table}", count, f"{table} has no row left of {count}: truncated"))
            continue
        followers = fresh["credentials"]["id"].combine_chunks()
        rows = fresh[table].filter(fresh[table]["there"])
        own = rows.filter(pc.invert(pc.is_in(rows["parent_id"], value_set=followers)))
        most = max(ALWAYS_ALLOWED, policies.max_delete_fraction * departed[table].base_rows)
        if own.num_rows > most or (own.num_rows and own.num_rows == departed[table].base_rows):
            findings.append(
                Finding(
                    f"deleted_{table}",
                    own.num_rows,
                    f"{own.num_rows} of {departed[table].base_rows} {table} were deleted in the source, "
                    f"at most {most:g} are expected (CREDSTORE_MAX_DELETE_FRACTION), and never all",
                )
            )
    return findings
