"""The target's store as an SQLite file that the old application reads."""

from collections.abc import Callable
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection

from credstore_pipeline.core.cutover.record import Cutover, standing_cutover
from credstore_pipeline.core.data_key import TargetPurpose, target_subkey, unwrap_data_key
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.drift import find_drift
from credstore_pipeline.core.errors import Refused
from credstore_pipeline.core.frames import TABLES
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load.ledger import open_books
from credstore_pipeline.core.load.meaning import Meaning
from credstore_pipeline.core.load.reading import qualified, read_rows
from credstore_pipeline.core.rollback.commit import commit
from credstore_pipeline.core.rollback.exchange import exchanged, name_for
from credstore_pipeline.core.rollback.file import fill, new_file, read_old, required_columns
from credstore_pipeline.core.rollback.losses import Loss, refuse_losses
from credstore_pipeline.core.rollback.passwords import rollback_ring, written_passwords
from credstore_pipeline.core.rollback.proof import Proven, prove_file
from credstore_pipeline.core.rollback.rebase import rebase
from credstore_pipeline.core.rollback.tags import tags_back
from credstore_pipeline.core.source.snapshot import Snapshot, prove_snapshot, snapshot_path
from credstore_pipeline.core.target.connect import make_engine, transaction
from credstore_pipeline.core.target.lock import take_lock
from credstore_pipeline.core.unproven import give_name, unproven
from credstore_pipeline.core.validation.quarantine import RowSealer

Flavour = Literal["source", "orm"]
LATE = "late_writes"
_NEW = ".rollback-"
_AS_THEY_WERE = "Both stores are as they were."


@dataclass(frozen=True)
class Exported:
    """A file that was proven.

    Attributes:
        path: Where it is now.
        rows: Rows in it by table.
        quarantined: Of those, rows in quarantine, as they were.
        compared: Rows of the target that were read back from it and compared.
        losses: What it does not hold, as allowed.
        aside: The old file's new name, if the files were exchanged.
    """

    path: Path
    rows: dict[str, int]
    quarantined: int
    compared: int
    losses: tuple[Loss, ...]
    aside: Path | None = None


@dataclass(frozen=True)
class Wish:
    """What the operator asked for.

    Attributes:
        to: Where the file is to be; None beside the snapshots, or for an exchange beside the store.
        flavour: The source's tables, or those of the store's own models.
        allow_loss: Names of what may be left out.
        swap: Put it in the store's place and clear the cutover.
        confirm_plaintext: That passwords may be written in the clear.
    """

    to: Path | None = None
    flavour: Flavour = "source"
    allow_loss: tuple[str, ...] = ()
    swap: bool = False
    confirm_plaintext: bool = False


def rollback_export(
    deployment: Deployment, ring: KeyRing, run_id: str, wish: Wish, log: Callable[[str], None]
) -> Exported:
    """Write the target's store into a new SQLite file, prove it, and exchange it for the old one if asked.

    For an exchange the target's three tables take no writes until it is done.

    Raises:
        Refused: If something was not confirmed, or the old tables cannot hold everything.
        ProofFailed: If the file, read back, means something else than the target; it is removed.
        SourceBusy: If somebody has the old file open.
    """
    form = deployment.policies.rollback_format
    if form == "plaintext" and not wish.confirm_plaintext:
        raise Refused(
            "rollback",
            "CREDSTORE_ROLLBACK_FORMAT is plaintext: every password would stand in the clear in the file",
            state=_AS_THEY_WERE,
            todo="Write confirm_plaintext: true if that is meant.",
        )
    path = _place(deployment, run_id, wish)
    engine = make_engine(deployment.target, run_id)
    level = "READ COMMITTED" if wish.swap else "REPEATABLE READ"
    with transaction(
        engine.execution_options(isolation_level=level), "rollback", deployment.target.schema
    ) as connection:
        return _export(connection, deployment, ring, run_id, wish, path, log)


def _export(
    connection: Connection,
    deployment: Deployment,
    ring: KeyRing,
    run_id: str,
    wish: Wish,
    path: Path,
    log: Callable[[str], None],
) -> Exported:
    schema, form = deployment.target.schema, deployment.policies.rollback_format
    if wish.swap:
        take_lock(connection, schema, deployment.policies.lock_wait_s)
        names = ", ".join(qualified(schema, table) for table in TABLES)
        connection.exec_driver_sql(f"LOCK TABLE {names} IN SHARE MODE")
    books = open_books(connection, ring)
    if books.last is None or books.wrapped_data_key is None:
        raise Refused("rollback", "nothing was loaded yet", state=_AS_THEY_WERE)
    cutover = standing_cutover(connection)
    if wish.swap and cutover is None:
        raise Refused(
            "rollback",
            "the store was not cut over: the file in use counts, and an exchange would lose what is written there",
            state=_AS_THEY_WERE,
            todo="Leave swap out to get a file.",
        )
    key = target_subkey(ring, TargetPurpose.SOURCE_DIGEST)
    snapshot = prove_snapshot(snapshot_path(deployment.places.backup_dir, books.last.snapshot_name), key)
    losses = _late(deployment, ring, snapshot, cutover) if wish.swap else []
    opener = rollback_ring(deployment.keys, form)
    data_key = unwrap_data_key(books.wrapped_data_key, ring).data_key
    meaning = Meaning(data_key, opener)
    rows = {table: read_rows(connection, schema, table, "ORDER BY t.id") for table in TABLES}
    held = _held(connection, data_key)
    old = read_old(snapshot.path, snapshot.shape)
    mapped = connection.exec_driver_sql("SELECT source_id, target_id FROM credstore_sync.tag_map")
    back = tags_back(rows["tags"], rows["credential_tags"], {row[0]: row[1] for row in mapped}, old)
    passwords = written_passwords(rows["credentials"], opener, meaning.secret_key, form)
    place = rows["credentials"].schema.get_field_index("password")
    written = {
        "tags": back.tags,
        "credentials": rows["credentials"].set_column(place, "password", passwords.passwords),
        "credential_tags": back.links,
    }
    kind = escape(name_for(deployment.source.sqlite_path, _NEW).name) + "*" if wish.swap else None
    with unproven(path, "rollback", _AS_THEY_WERE, kind) as new:
        with new_file(new, None if wish.flavour == "orm" else snapshot.path) as file:
            filled = fill(file, written, held, old)
            required = {table: required_columns(file, table) for table in filled.shape.tables}
        log(f"{sum(filled.rows.values())} rows were written in flavour {filled.shape.flavour}, passwords as {form}.")
        proven = prove_file(
            new,
            deployment,
            opener,
            run_id,
            wrapped_data_key=books.wrapped_data_key,
            meaning=meaning,
            rows=rows,
            filled=filled,
            shut=passwords.shut,
            held={table: {row_id or "" for _, row_id, _ in found} for table, found in held.items()},
            required=required,
        )
        losses = refuse_losses([*losses, *proven.losses], wish.allow_loss)
        log(f"{proven.compared} rows were read back from the file, opened, and equal the target's.")
        done = Exported(path, filled.rows, sum(filled.quarantined.values()), proven.compared, tuple(losses))
        if wish.swap and cutover is not None:
            return _swap(connection, deployment, ring, run_id, new, done, proven, cutover, log)
        give_name(new, path, "rollback", _AS_THEY_WERE)
        return done


def _swap(
    connection: Connection,
    deployment: Deployment,
    ring: KeyRing,
    run_id: str,
    new: Path,
    done: Exported,
    proven: Proven,
    cutover: Cutover,
    log: Callable[[str], None],
) -> Exported:
    """Exchange the files, make the new one the base's source, clear the record, commit; or exchange them back."""
    store = deployment.source.sqlite_path
    with exchanged(new, store, cutover.place(store)) as exchange:
        rebase(connection, deployment, ring, run_id, proven)
        # Inside: whatever fails up to the commit puts the old file back.
        commit(connection, deployment, run_id, exchange, log)
    log(f"The new file is {store}; the old one is {exchange.aside}. The record of the cutover is cleared.")
    return Exported(store, done.rows, done.quarantined, done.compared, done.losses, exchange.aside)


def _place(deployment: Deployment, run_id: str, wish: Wish) -> Path:
    if wish.swap:
        path = name_for(deployment.source.sqlite_path, f"{_NEW}{run_id[:8]}")
    else:
        path = wish.to or deployment.places.backup_dir / f"rollback-{run_id[:8]}.db"
    if not path.is_absolute() or path.exists() or not path.parent.is_dir():
        raise Refused(
            "rollback",
            f"{path} is taken, not absolute, or in a folder that does not exist",
            state=_AS_THEY_WERE,
            todo="Write another `to`.",
        )
    if path.is_relative_to(deployment.places.home):
        raise Refused("rollback", f"{path} lies below DAGSTER_HOME", state=_AS_THEY_WERE, todo="Write another `to`.")
    return path


def _late(deployment: Deployment, ring: KeyRing, snapshot: Snapshot, cutover: Cutover | None) -> list[Loss]:
    """What somebody wrote into the old file after cutover would be gone with it."""
    if cutover is None:
        return []
    path = deployment.source.sqlite_path
    place, anew = cutover.place(path), cutover.made_anew(path)
    losses = []
    if anew:
        losses.append(
            Loss(LATE, "a file made at the store's path after it was renamed; it is kept aside", (anew.name,))
        )
    if not place.exists():
        return losses
    drift = find_drift(deployment, ring, snapshot.name, place)
    ids = tuple(
        f"{table} {row_id}"
        for kind in (drift.added, drift.changed, drift.removed)
        for table, found in kind.items()
        for row_id in found
    )
    if ids:
        losses.append(Loss(LATE, "written into the old file after cutover; it is kept aside", ids))
    return losses


def _held(connection: Connection, data_key: bytes) -> dict[str, list[tuple[int, str | None, dict[str, Any]]]]:
    """Open quarantine: table -> row id, id, values as the source held them."""
    sealer = RowSealer(data_key)
    found: dict[str, list[tuple[int, str | None, dict[str, Any]]]] = {}
    for table, rowid, row_id, sealed in connection.exec_driver_sql(
        "SELECT source_table, source_rowid, source_id, sealed_row FROM credstore_sync.quarantine "
        "WHERE resolved_at IS NULL ORDER BY source_table, source_rowid"
    ):
        found.setdefault(table, []).append((rowid, row_id, sealer.open(sealed)))
    return found
