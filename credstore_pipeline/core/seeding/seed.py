"""Seeding, under the load's lock: what is missing is made, what is there is left, what was deleted stays deleted."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection

from credstore_pipeline.core.data_key import unwrap_data_key
from credstore_pipeline.core.errors import CredstoreError
from credstore_pipeline.core.keys.ring import KeyRing, build_ring
from credstore_pipeline.core.seeding.plan import Seeding
from credstore_pipeline.core.seeding.write import count_credentials, put_credentials, put_tags, seeded_tags
from credstore_pipeline.core.target.connect import make_engine, transaction
from credstore_pipeline.core.target.differences import require_known_shape
from credstore_pipeline.core.target.lock import take_lock
from credstore_pipeline.core.target.retry import retrying
from credstore_pipeline.core.target.shape import read_shape
from credstore_pipeline.core.target.sync import sync_version, upgrade_sync_schema
from credstore_pipeline.core.target.tables import create_missing

Result = TypeVar("Result")


@dataclass(frozen=True)
class Seeded:
    """What a seeding did; it is committed, and was read back before.

    Attributes:
        text: One or two sentences.
        numbers: Rows made, found as they were, and left deleted.
    """

    text: str
    numbers: dict[str, int]


def prepare_tables(seeding: Seeding, run_id: str) -> frozenset[str]:
    """Make the application's tables that are missing, with keys and indexes; changes none that is there.

    Returns:
        Names of the tables that were made.

    Raises:
        ShapeRefused: If tables of these names are not the application's.
        LoadLocked: If a load holds the lock too long.
        TargetError: For whatever else the target refuses.
    """
    return _in_transaction(seeding, run_id, "making the tables", lambda _, created: created)


def seed_tags(seeding: Seeding, run_id: str) -> Seeded:
    """Have every tag there by its name; never change one that is.

    A tag that was seeded once, or was there when it would have been, and is gone now is not made again.

    Raises:
        As `prepare_tables`.
    """

    def seed(connection: Connection, _: frozenset[str]) -> Seeded:
        made, found, gone = put_tags(connection, seeding.target.schema, seeding.tags, run_id)
        text = f"{made} tags made, {found} were there and are left as they are, {gone} were deleted before and stay so."
        return Seeded(text, {"made": made, "found": found, "left_deleted": gone})

    return _in_transaction(seeding, run_id, "seed/default_tags", seed)


def seed_credentials(seeding: Seeding, run_id: str) -> Seeded:
    """Put the credentials with a password on each default tag, into a store that has no credential yet.

    Raises:
        TargetKeyChanged: If the store is sealed under another key than the one that was given.
        ProofFailed: If what was read back is not what was meant; everything is rolled back.
        CredstoreError: If there is a password and no key to seal it with.
        As `prepare_tables`.
    """
    nothing = {"made": 0, "associations": 0, "left_deleted": 0}
    if not seeding.credentials:
        return Seeded("Skipped: no password is given for any default credential (CREDSTORE_SEED_…_PASSWORD).", nothing)
    ring = _ring(seeding)

    def seed(connection: Connection, _: frozenset[str]) -> Seeded:
        schema = seeding.target.schema
        _require_same_key(connection, ring)
        there = count_credentials(connection, schema, but_of_run=run_id)
        if there:
            return Seeded(f"Skipped: the store has {there} credentials already.", nothing)
        tags = seeded_tags(connection, schema)
        made, links, gone = put_credentials(connection, schema, seeding.credentials, tags, ring, run_id)
        text = f"{made} credentials made, on {len(tags)} tags; {gone} were deleted before and stay so."
        return Seeded(text, {"made": made, "associations": links, "left_deleted": gone})

    return _in_transaction(seeding, run_id, "seed/default_credentials", seed)


def _in_transaction(
    seeding: Seeding, run_id: str, where: str, work: Callable[[Connection, frozenset[str]], Result]
) -> Result:
    """Do the work in one transaction under the load's lock, on tables that are there and known.

    What was seeded is known by its name, so that a transaction whose COMMIT was not acknowledged may be tried again.
    """
    schema = seeding.target.schema
    # The lock is only as good as what is read after it: never an older state of the database.
    engine = make_engine(seeding.target, run_id).execution_options(isolation_level="READ COMMITTED")

    def once() -> Result:
        with transaction(engine, where, schema) as connection:
            take_lock(connection, schema, seeding.lock_wait_s)
            require_known_shape(read_shape(connection, schema))
            created = create_missing(connection, schema, bare=False)
            upgrade_sync_schema(connection)
            return work(connection, created)

    return retrying(once)


def _ring(seeding: Seeding) -> KeyRing:
    if seeding.keys is None:
        raise CredstoreError(
            "seed/default_credentials",
            "a password is given, and no key to seal it with",
            todo="Set NETRAVEN_ENCRYPTION_KEY or CREDSTORE_TARGET_KEY.",
        )
    return build_ring(seeding.keys)


def _require_same_key(connection: Connection, ring: KeyRing) -> None:
    if sync_version(connection) is None:
        return
    kept = connection.exec_driver_sql("SELECT wrapped FROM credstore_sync.data_key").scalar_one_or_none()
    if kept is not None:
        unwrap_data_key(bytes(kept), ring)
