"""What the load's transaction does between taking the lock and keeping its books."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow.compute as pc
from sqlalchemy import Connection

from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.errors import Superseded
from credstore_pipeline.core.frames import TABLES
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load.cargo import Cargo
from credstore_pipeline.core.load.ledger import Counts, LastLoad
from credstore_pipeline.core.load.meaning import Meaning
from credstore_pipeline.core.load.prove import prove_parents, prove_written
from credstore_pipeline.core.load.write import Written, write_created, write_existing
from credstore_pipeline.core.sync.book import ConflictBook, Key
from credstore_pipeline.core.sync.departures import delete_departed
from credstore_pipeline.core.sync.guards import accept_dates, look, refuse
from credstore_pipeline.core.sync.passage import Incoming, Passage
from credstore_pipeline.core.sync.presence import dated, find_departed, put_held, put_incoming
from credstore_pipeline.core.sync.settlements import brought_back
from credstore_pipeline.core.target.differences import require_known_shape
from credstore_pipeline.core.target.shape import read_shape
from credstore_pipeline.core.target.tables import add_keys, create_missing


@dataclass(frozen=True)
class Way:
    """How this load is done.

    Attributes:
        run_id: Its run.
        last: The load before it.
        log: Told what is being done.
        progress: Called with the passwords read back so far.
        confirm: Guards that the operator overrides, by their number.
        partial: Whether the cargo is some rows of the source alone.
        wide: Whether a password column that is created is text.
    """

    run_id: str
    last: LastLoad | None
    log: Callable[[str], None]
    progress: Callable[[int], None] | None
    confirm: Mapping[str, int]
    partial: bool
    wide: bool


def write_and_prove(
    connection: Connection, deployment: Deployment, ring: KeyRing, cargo: Cargo, way: Way
) -> tuple[Counts, int]:
    """Ask the guards, write, read back; all within the caller's transaction.

    Returns:
        Table (or `ledger`) -> what happened -> rows; and how many rows were read back.

    Raises:
        GuardRefused: Before anything is written.
        ProofFailed: If what was read back is not what was meant.
    """
    schema = deployment.target.schema
    require_known_shape(read_shape(connection, schema))
    meaning = Meaning(cargo.data_key, ring)
    created = create_missing(connection, schema, bare=True, wide_password=way.wide)
    incoming = {
        table: Incoming(table, dated(table, cargo.rows[table], cargo.repairs), meaning.of_validated(table, rows))
        for table, rows in cargo.rows.items()
    }
    book = ConflictBook(cargo.data_key, way.run_id)
    work = Passage(connection, schema, meaning, deployment.policies, book, way.log, brought_back(connection, way.last))
    for table in TABLES:
        if table not in created:
            put_incoming(connection, incoming[table])
    guarded = way.last is not None and not way.partial and not created
    # Edits alone: every row of the base is in the source still.
    whole = cargo.edits_of is None
    departed = {}
    held = put_held(connection, cargo.quarantine, cargo.tag_map)
    if guarded and way.last:
        departed = {table: find_departed(connection, schema, table) for table in TABLES} if whole else {}
        flavours = (way.last.flavour, cargo.snapshot.flavour)
        findings = look(connection, deployment.policies, departed, _source_rows(cargo), flavours)
        for line in refuse(findings, way.confirm):
            way.log(line)
        if findings:
            accept_dates(connection)
    written: dict[str, Written] = {}
    for table in TABLES:
        if table in created:
            written[table] = write_created(connection, schema, incoming[table])
        else:
            written[table] = write_existing(work, incoming[table])
    if work.revived and not whole:
        raise Superseded(
            f"snapshot {cargo.snapshot.name}",
            f"{len(work.revived)} credentials were deleted in the target meanwhile and come back, with associations",
            todo="Launch the job again: it looks at all rows.",
        )
    add_keys(connection, schema, created)
    if departed:
        for table, deleted in delete_departed(work, departed).items():
            written[table].counts["deleted"] = deleted
    for table in TABLES:
        way.log(f"{schema}.{table}: {_told(written[table].counts)}")
    counts = {table: written[table].counts for table in TABLES}
    counts["ledger"] = book.write(connection, _still(held, incoming, way))
    proven = prove_written(connection, schema, written, meaning, way.progress)
    prove_parents(connection, schema, written["credential_tags"])
    way.log(f"{proven} written rows were read back, opened and compared; committing.")
    return counts, proven


def _still(held: Mapping[str, set[str]], incoming: Mapping[str, Incoming], way: Way) -> Callable[[Key], bool]:
    """Which waiting conflicts this pass has no word on: the source's row was not looked at."""
    if not way.partial:
        return lambda key: key[1] in held[key[0]]
    seen = {table: set(one.rows["id"].to_pylist()) for table, one in incoming.items()}
    return lambda key: key[1] not in seen[key[0]]


def _source_rows(cargo: Cargo) -> dict[str, int]:
    """Rows that the source has, loaded from it or not; a tag made for a missing one has no row there."""
    rows = {}
    for table in TABLES:
        own = cargo.rows[table]["source_rowid"]
        refused = pc.sum(pc.equal(cargo.quarantine["source_table"], table)).as_py() or 0
        mapped = cargo.tag_map.num_rows if table == "tags" else 0
        rows[table] = len(own) - own.null_count + refused + mapped
    return rows


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing to write"
