"""All final proofs over one reading of both sides."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine

from credstore_pipeline.core.data_key import TargetPurpose, target_subkey, unwrap_data_key
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.errors import CouldNotCheck, SnapshotNotProven
from credstore_pipeline.core.frames import TABLES, Frame
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load.ledger import open_books
from credstore_pipeline.core.load.meaning import Meaning
from credstore_pipeline.core.proofs.evidence import READ_FROM_SOURCE, gather
from credstore_pipeline.core.proofs.rows import no_orphans, row_counts_match, selection_order_matches
from credstore_pipeline.core.proofs.secrets import (
    application_can_read,
    no_conflicts_wait,
    no_plaintext_at_rest,
    rows_not_ours,
    secrets_match_source,
)
from credstore_pipeline.core.source.edits import Edits, edits_since
from credstore_pipeline.core.source.extract import extract
from credstore_pipeline.core.source.inspect import SourceShape
from credstore_pipeline.core.source.snapshot import Snapshot, known_snapshot, prove_snapshot, snapshot_path
from credstore_pipeline.core.sync.unchanged import Carried
from credstore_pipeline.core.target.connect import make_engine, transaction
from credstore_pipeline.core.target.failures import boundary
from credstore_pipeline.core.target.retry import retrying
from credstore_pipeline.core.validation.gates import Verdict


@dataclass(frozen=True)
class Claim:
    """What a proof claims.

    Attributes:
        table: The target table it speaks of.
        text: The claim, and with which limits (docs/checks.md says what it cannot catch).
        fatal: False for a note that never blocks.
    """

    table: str
    text: str
    fatal: bool = True


CLAIMS: dict[str, Claim] = {
    "row_counts_match": Claim(
        "credentials",
        "Every row of the snapshot is in the target or in quarantine, by key; a row that "
        "is refused since it was loaded is in both.",
    ),
    "secrets_match_source": Claim(
        "credentials", "Every password, opened on both sides, is the same; compared by keyed fingerprint."
    ),
    "no_plaintext_at_rest": Claim("credentials", "No password that the pipeline wrote stands in the clear."),
    "no_orphans": Claim("credential_tags", "Every association has its credential and its tag."),
    "selection_order_matches": Claim(
        "credential_tags", "Per tag, credentials come in the source's order: priority descending, ties as sets."
    ),
    "application_can_read": Claim(
        "credentials",
        "Each row reads as the application's readers read it: key string alone, envelope `default`, no NULL where they "
        "fail on one.",
    ),
    "rows_not_ours": Claim("credentials", "Rows of the application beside ours: counted, not touched.", fatal=False),
    "no_conflicts_wait": Claim(
        "credentials",
        "No change waits for a person to choose between the source and the target; while one waits, the target's "
        "value stands.",
        fatal=False,
    ),
}
"""Check name -> its claim, in the order they are reported."""


Opening = Callable[[int], Callable[[int], None]]
"""Progress of the opening: given the rows there are, returns what is called with the rows opened so far."""


def still_standing(proven_at: datetime) -> dict[str, Verdict]:
    """What is said of a run that found nothing to do: which proofs stand, since when, and that they were not made."""
    text = (
        f"Not made anew: the source has not changed since these proofs held ({proven_at:%Y-%m-%d %H:%M} UTC), "
        "and this run wrote nothing. The job `verify` makes them."
    )
    return {name: Verdict(True, text, fatal=claim.fatal) for name, claim in CLAIMS.items()}


def prove(
    deployment: Deployment,
    ring: KeyRing,
    run_id: str,
    progress: Opening | None = None,
    *,
    since: Carried | None = None,
) -> dict[str, Verdict]:
    """Read the snapshot last loaded and the target once, from fresh connections, and judge every claim.

    Args:
        deployment: Where both sides are.
        ring: Opens both sides.
        run_id: This run.
        progress: Given the rows to open, returns what is called with the rows opened so far.
        since: The load that was proven; if its snapshot is still there, and rows were edited since and nothing else
            happened, the claims are judged of those rows alone.

    Raises:
        CouldNotCheck: If there was no load, or its snapshot is missing.
        SnapshotNotProven: If its snapshot was altered.
    """
    # One state of the database for all claims, however the application goes on writing.
    engine = make_engine(deployment.target, run_id).execution_options(isolation_level="REPEATABLE READ")
    return retrying(lambda: _prove(engine, deployment, ring, progress, since))


def _prove(
    engine: Engine,
    deployment: Deployment,
    ring: KeyRing,
    progress: Opening | None,
    since: Carried | None,
) -> dict[str, Verdict]:
    with transaction(engine, "proofs", deployment.target.schema) as connection:
        # Where a right is missing, the schema is named: our tables are another owner's.
        with boundary("proofs, schema credstore_sync"):
            books = open_books(connection, ring)
        if books.last is None or books.wrapped_data_key is None:
            raise CouldNotCheck("proofs", "nothing was loaded yet", todo="Launch the job `migrate` first.")
        path = snapshot_path(deployment.places.backup_dir, books.last.snapshot_name)
        key = target_subkey(ring, TargetPurpose.SOURCE_DIGEST)
        edited = _edited(connection, deployment, key, path, since) if since else None
        edits = edited[1] if edited else None
        meaning = Meaning(unwrap_data_key(books.wrapped_data_key, ring).data_key, ring)
        with ThreadPoolExecutor(1) as beside:
            # A process of its own reads the snapshot anew; meanwhile the target is read.
            proving = beside.submit(lambda: edited[0] if edited else prove_snapshot(path, key))

            def source() -> dict[str, Frame]:
                shape = _narrowed(proving.result().shape)
                return {table: extract(path, table, shape, edits.get(table) if edits else None) for table in TABLES}

            evidence = gather(
                connection, deployment.target.schema, source, ring, meaning, progress, some=edits is not None
            )
        verdicts = {
            "row_counts_match": row_counts_match(evidence),
            "secrets_match_source": secrets_match_source(evidence),
            "no_plaintext_at_rest": no_plaintext_at_rest(evidence),
            "no_orphans": no_orphans(evidence),
            "selection_order_matches": selection_order_matches(evidence),
            "application_can_read": application_can_read(evidence),
            "rows_not_ours": rows_not_ours(evidence),
            "no_conflicts_wait": no_conflicts_wait(evidence),
        }
    if since is None or edits is None:
        return verdicts
    rows = sum(map(len, edits.values()))
    told = f" (Of the {rows:,} rows edited since; the others were proven at {since.proven_at:%Y-%m-%d %H:%M} UTC.)"
    return {name: replace(verdict, text=verdict.text + told) for name, verdict in verdicts.items()}


def _edited(
    connection: Connection, deployment: Deployment, key: bytes, path: Path, since: Carried
) -> tuple[Snapshot, Edits] | None:
    """The snapshot and what was edited in it, compared anew; None if that cannot be: all rows are proven then."""
    name = connection.exec_driver_sql(
        "SELECT snapshot_name FROM credstore_sync.runs WHERE run_id = %s", (since.since,)
    ).scalar_one_or_none()
    if name is None:
        return None
    try:
        now = known_snapshot(path, key)
    except (CouldNotCheck, SnapshotNotProven):
        return None
    edits = edits_since(snapshot_path(deployment.places.backup_dir, name), now, key)
    return None if edits is None else (now, edits)


def _narrowed(shape: SourceShape) -> SourceShape:
    """The shape with those columns alone that the proofs read."""
    tables = {
        name: replace(table, columns=tuple(column for column in table.columns if column in READ_FROM_SOURCE[name]))
        for name, table in shape.tables.items()
    }
    return replace(shape, tables=tables)
