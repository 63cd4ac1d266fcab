"""What a pass over a large store may leave out: everything, or all but the rows that were edited."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from credstore_pipeline import __version__
from credstore_pipeline.core.data_key import TargetPurpose, target_subkey
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load.ledger import LastLoad, last_load
from credstore_pipeline.core.reasons import Reason
from credstore_pipeline.core.target.connect import make_engine, transaction
from credstore_pipeline.core.target.retry import retrying
from credstore_pipeline.core.target.sync import require_readable_sync

LARGE_ROWS = 20_000
"""From so many rows on a pass over an unchanged store is left out; a smaller one takes no time worth saving."""

BY_THE_TARGET = (Reason.UNKNOWN_TAG, Reason.TARGET_DIFFERS, Reason.SECRET_TOO_LONG, Reason.VALUE_TOO_LONG)
"""Reasons of quarantine that the target alone may do away with."""


WHOLE_EVERY = "24 hours"
"""After so long without green proofs of all rows, a pass looks at all of them."""


@dataclass(frozen=True)
class Carried:
    """A run that left rows out, since earlier proofs still stand for them.

    Attributes:
        proven_at: When those proofs were made.
        since: The load whose snapshot this run's edits are edits of; None if it wrote nothing.
    """

    proven_at: datetime
    since: str | None = None


def settings_digest(deployment: Deployment, ring: KeyRing) -> str:
    """A keyed digest of everything but the stores that decides what a pass does: policies, keys, version."""
    keys = deployment.keys
    told = [
        __version__,
        {name: repr(value) for name, value in sorted(vars(deployment.policies).items())},
        [keys.application_key, *keys.source_keys, *keys.salts, keys.key_backup_password],
        [str(key.key_id) for key in ring.keys],
        deployment.target.schema,
    ]
    secret = target_subkey(ring, TargetPurpose.SOURCE_DIGEST)
    return hashlib.blake2b(json.dumps(told).encode(), key=secret, digest_size=32, person=b"credstore-sets").hexdigest()


def nothing_to_do(connection: Connection, digest: str, settings: str) -> bool:
    """Whether the last load has this content, was proven, and nothing but time has passed since.

    Args:
        connection: Any transaction.
        digest: The source's content.
        settings: `settings_digest` of this run.
    """
    if not require_readable_sync(connection):
        return False
    last = last_load(connection)
    return last is not None and last.source_digest == digest and _stands(connection, last, settings)


def edits_suffice(connection: Connection, settings: str) -> LastLoad | None:
    """The last load, if rows that were edited since are all that a pass has to look at; else None.

    None is in quarantine, and nothing but loads of edits has happened since all rows were proven.

    Args:
        connection: Any transaction.
        settings: `settings_digest` of this run.
    """
    if not require_readable_sync(connection):
        return None
    last = last_load(connection)
    if last is None or not _stands(connection, last, settings):
        return None
    held = connection.exec_driver_sql(
        "SELECT EXISTS (SELECT FROM credstore_sync.quarantine WHERE resolved_at IS NULL)"
    ).scalar_one()
    return None if held else last


def _stands(connection: Connection, last: LastLoad, settings: str) -> bool:
    """Whether the last load was proven, nothing but time has passed since, and all rows were within `WHOLE_EVERY`."""
    return bool(
        connection.exec_driver_sql(
            "SELECT r.proven_at IS NOT NULL AND r.settings_digest = %s "
            "AND NOT EXISTS (SELECT FROM credstore_sync.runs n WHERE n.finished_at > r.finished_at) "
            "AND NOT EXISTS (SELECT FROM credstore_sync.conflicts WHERE outcome = 'waiting') "
            "AND NOT EXISTS (SELECT FROM credstore_sync.quarantine WHERE resolved_at IS NULL AND reason = ANY(%s)) "
            "AND coalesce((SELECT red = '{}' AND made_at > clock_timestamp() - %s::interval "
            "FROM credstore_sync.verified ORDER BY made_at DESC LIMIT 1), false) "
            "FROM credstore_sync.runs r WHERE r.run_id = %s",
            (settings, [str(reason) for reason in BY_THE_TARGET], WHOLE_EVERY, last.run_id),
        ).scalar_one()
    )


def mark_proven(deployment: Deployment, run_id: str) -> None:
    """Record that every final proof of the run held; a run that wrote nothing keeps the time of the one that did."""
    engine = make_engine(deployment.target, run_id)

    def mark() -> None:
        with transaction(engine, "report, schema credstore_sync", deployment.target.schema) as connection:
            if require_readable_sync(connection):
                connection.exec_driver_sql(
                    "UPDATE credstore_sync.runs SET proven_at = clock_timestamp() "
                    "WHERE run_id = %s AND proven_at IS NULL",
                    (run_id,),
                )

    retrying(mark)


def carried(deployment: Deployment, run_id: str) -> Carried | None:
    """The proofs that still stand for what this run left out; None if it left nothing out."""
    engine = make_engine(deployment.target, run_id)

    def ask() -> Carried | None:
        with transaction(engine, "proofs, schema credstore_sync", deployment.target.schema) as connection:
            if not require_readable_sync(connection):
                return None
            found = connection.exec_driver_sql(
                "SELECT n.proven_at, o.proven_at, o.run_id FROM credstore_sync.runs n "
                "LEFT JOIN credstore_sync.runs o ON o.run_id = n.edits_of "
                "WHERE n.run_id = %s AND (n.counts -> 'ledger' ? 'unchanged' OR o.run_id IS NOT NULL)",
                (run_id,),
            ).one_or_none()
        if found is None:
            return None
        return Carried(found[1], found[2]) if found[2] else Carried(found[0])

    return retrying(ask)
