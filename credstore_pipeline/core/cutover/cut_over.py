"""The cutover: asked, frozen, passed over a last time, proven, recorded; or as if nothing had been."""

import errno
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine

from credstore_pipeline.core.cutover.archive import ARCHIVED, alone, rename_store
from credstore_pipeline.core.cutover.freeze import Frozen, frozen
from credstore_pipeline.core.cutover.record import (
    is_recorded_by,
    record_archive,
    record_cutover,
    refuse_after_cutover,
    refuse_later_runs,
)
from credstore_pipeline.core.cutover.unheard import took_place
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.errors import CommitUnknown, CredstoreError, ProofFailed, Refused
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load.ledger import open_books
from credstore_pipeline.core.passing import Passed, proven, run_pass
from credstore_pipeline.core.proofs.outcome import last_verify, refusal_of
from credstore_pipeline.core.target.connect import make_engine, transaction
from credstore_pipeline.core.target.lock import take_lock
from credstore_pipeline.core.target.retry import retrying
from credstore_pipeline.core.waiting import waiting

NOTHING_DONE = "Nothing is frozen, nothing is recorded; both stores go on."
PASSES_LOOKED_AT = 5


@dataclass(frozen=True)
class CutOverDone:
    """A cutover that stands.

    Attributes:
        passed: The final pass.
        estimated_s: Seconds that were expected.
        frozen_s: Seconds for which the store's writers had to wait.
        blocked: Tables whose writes triggers refuse from now on.
        archived_as: The file's new name, if it was renamed.
        archive_refused: Why it was not, if it was to be; or what else failed there.
    """

    passed: Passed
    estimated_s: float
    frozen_s: float
    blocked: tuple[str, ...]
    archived_as: Path | None
    archive_refused: str


def cut_over(
    deployment: Deployment,
    ring: KeyRing,
    run_id: str,
    *,
    confirm: str,
    block_writers: bool = True,
    archive: bool = False,
    log: Callable[[str], None],
) -> CutOverDone:
    """End the window: from the commit of the record on, PostgreSQL alone counts.

    Args:
        deployment: Both stores.
        ring: Their keys.
        run_id: This run.
        confirm: The store's path, as the operator typed it.
        block_writers: Leave triggers in the file that refuse every write.
        archive: Rename the file afterwards, if nobody has it open.
        log: Takes a line as each stage ends.

    Raises:
        Refused: If something stands in the way; names all of it.
        CutOver: If it was cut over already.
        CommitUnknown: If nobody can say whether the record was committed; no trigger stands then.
        CredstoreError: If freezing, the final pass or its proofs fail; nothing is frozen or recorded then.
    """
    path = deployment.source.sqlite_path
    if confirm != str(path):
        raise Refused(
            "cutover",
            "the run config's `confirm` is not the store's path",
            state=NOTHING_DONE,
            todo=f"Write confirm: {path}",
        )
    engine = make_engine(deployment.target, run_id).execution_options(isolation_level="READ COMMITTED")
    estimated_s = _require_ready(engine, deployment, ring, run_id, log)
    began, recorded = time.monotonic(), False
    try:
        with frozen(path) as held:
            with transaction(engine, "cutover") as connection:
                # Whoever cut over meanwhile held the same lock, and its triggers must stay.
                refuse_after_cutover(connection)
            if held.clear_leftovers():
                log("Triggers were taken away that a killed run had left.")
            log("The store is frozen: a second writer was refused.")
            passed = run_pass(deployment, ring, run_id, log=log)
            blocked = _end(engine, deployment, run_id, passed, held, block_writers=block_writers)
            recorded = True
            if blocked:
                held.keep()
    except _Unheard as error:
        raise CommitUnknown("cutover", error.wrong, state=_UNKNOWN, todo=f"{_LOOK} {error.todo}".rstrip()) from None
    except CredstoreError as error:
        state = _RECORDED if recorded else NOTHING_DONE
        raise type(error)(error.where, error.wrong, state=state, todo=error.todo) from None
    frozen_s = time.monotonic() - began
    log(f"Cut over after {frozen_s:.1f} s; writes of old containers are {'refused' if blocked else 'not refused'}.")
    archived_as, refused = _archived(engine, path, run_id) if archive else (None, "")
    return CutOverDone(passed, estimated_s, frozen_s, tuple(blocked), archived_as, refused)


class _Unheard(CommitUnknown):
    """Nobody can say whether the record was committed."""


# The triggers go, as they do when the run is killed: with them a store whose cutover came to nothing would refuse the
# application that still counts on it; without them nothing is lost unseen, since late writes are noticed.
_UNKNOWN = "Whether the cutover is recorded is unknown; the store takes writes again, no trigger stands in it."
_LOOK = (
    "Stop the old containers until `credstore status` says it. If it is cut over, leave them stopped, and launch "
    "`watch`, which names what they wrote late; if not, start them, and launch again."
)
_RECORDED = "The cutover is recorded and stands; the triggers in the file may be missing: stop every old container."


def _require_ready(
    engine: Engine, deployment: Deployment, ring: KeyRing, run_id: str, log: Callable[[str], None]
) -> float:
    """Let pass when nothing stands in the way, and give the seconds that the freeze is expected to take."""

    def look(connection: Connection) -> tuple[bool, list[str], float]:
        refuse_after_cutover(connection)
        if open_books(connection, ring).last is None:
            return False, [], 0.0
        refusals = waiting(connection).refusals(deployment.policies)
        unverified = refusal_of(last_verify(connection))
        return True, [unverified, *refusals] if unverified else refusals, _pass_s(connection)

    def ask() -> tuple[bool, list[str], float]:
        with transaction(engine, "cutover") as connection:
            return look(connection)

    loaded, refusals, pass_s = retrying(ask)
    if not loaded:
        raise Refused(
            "cutover", "nothing was loaded yet", state=NOTHING_DONE, todo="Launch `migrate`, then `resync` for a while."
        )
    began = time.monotonic()
    try:
        proven(deployment, ring, run_id)
    except ProofFailed as error:
        refusals.append(f"the proofs do not hold now: {error.wrong.rstrip()}")
    estimated_s = pass_s + time.monotonic() - began
    allowed_s = deployment.policies.max_downtime_s
    log(f"The final pass is expected to take {estimated_s:.1f} s of the {allowed_s:g} s allowed.")
    if estimated_s > allowed_s:
        refusals.append(
            f"the final pass is expected to take {estimated_s:.1f} s, {allowed_s:g} s are allowed "
            "(CREDSTORE_MAX_DOWNTIME_S)"
        )
    if refusals:
        raise _refused(refusals)
    return estimated_s


def _pass_s(connection: Connection) -> float:
    """Seconds that earlier passes took without their final proofs: the longest of the last re-syncs, or the load."""
    seconds = connection.exec_driver_sql(
        "SELECT kind, extract(epoch FROM finished_at - snapshot_began_at)::float FROM credstore_sync.runs "
        "WHERE kind IN ('initial', 'resync') AND finished_at IS NOT NULL ORDER BY finished_at DESC "
        f"LIMIT {PASSES_LOOKED_AT}"
    ).all()
    later = [took for kind, took in seconds if kind == "resync"]
    return max(later or [took for _, took in seconds], default=0.0)


def _refused(refusals: list[str]) -> Refused:
    lines = "\n".join(f"  {line}" for line in refusals)
    return Refused(
        "cutover", f"{len(refusals)} things stand in the way:\n{lines}\n", state=NOTHING_DONE, todo="Launch again then."
    )


def _end(
    engine: Engine,
    deployment: Deployment,
    run_id: str,
    passed: Passed,
    held: Frozen,
    *,
    block_writers: bool,
) -> list[str]:
    """Install the triggers and record the cutover; both or neither.

    Raises:
        _Unheard: If nobody can say whether the record was committed.
    """
    blocked: list[str] = []
    try:
        with transaction(engine, "cutover", deployment.target.schema) as connection:
            take_lock(connection, deployment.target.schema, deployment.policies.lock_wait_s)
            refuse_after_cutover(connection)
            refuse_later_runs(connection, run_id)
            # The final pass may have met what did not wait before.
            refusals = waiting(connection).refusals(deployment.policies)
            if refusals:
                raise _refused(refusals)
            if block_writers:
                blocked = held.block_writers()
            record_cutover(
                connection,
                run_id=run_id,
                source_path=str(deployment.source.sqlite_path),
                snapshot_name=passed.taken.name,
                source_digest=passed.taken.digest,
                writers_blocked=block_writers,
            )
    except CommitUnknown as error:
        recorded = took_place(deployment, run_id, "cutover", lambda found: is_recorded_by(found, run_id))
        if recorded is None:
            raise _Unheard("cutover", error.wrong) from None
        if not recorded:
            raise
    return blocked


def _archived(engine: Engine, path: Path, run_id: str) -> tuple[Path | None, str]:
    """Rename the file if nobody has it; the cutover stands either way."""
    real = path.resolve()
    to = real.with_name(f"{real.name}{ARCHIVED}{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    try:
        with alone(real):
            # Recorded first: a name that is not there yet is found out, a file under an unknown name is not.
            with transaction(engine, "cutover") as connection:
                record_archive(connection, run_id, str(to))
            rename_store(real, to)
    except CredstoreError as error:
        return None, str(error)
    except OSError as error:
        # It must not end a run whose cutover stands. The folder may refuse after the rename too, when it is synced.
        renamed = to if to.exists() and not real.exists() else None
        return renamed, f"{real.parent} refuses ({errno.errorcode.get(error.errno or 0, 'OSError')})"
    return to, ""
