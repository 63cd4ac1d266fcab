"""Job `cutover`: the last pass, under a freeze."""

import dagster as dg
from pydantic import Field

from credstore_pipeline.core.cutover.cut_over import NOTHING_DONE, cut_over
from credstore_pipeline.operations.work import operation
from credstore_pipeline.resources import Credstore


class CutoverConfig(dg.Config):
    """What the operator decides."""

    confirm: str = Field(description="The legacy store's path, exactly as CREDSTORE_SQLITE_PATH has it.")
    block_writers: bool = Field(
        default=True, description="Leave triggers in the file that refuse every write of an old container."
    )
    archive: bool = Field(
        default=False, description="Rename the file with -wal and -shm, if nobody has it open any more."
    )


@dg.op(name="cut_over", out=dg.Out(dg.Nothing))
def cut_over_op(context: dg.OpExecutionContext, config: CutoverConfig, credstore: Credstore) -> None:
    """Freeze the legacy store, take the last changes over, prove, record; or leave everything as it was."""
    with operation(context, credstore, NOTHING_DONE) as work:
        done = cut_over(
            work.deployment,
            work.ring,
            work.run_id,
            confirm=config.confirm,
            block_writers=config.block_writers,
            archive=config.archive,
            log=work.log,
        )
        work.stands("The cutover is recorded and stands; PostgreSQL alone counts from now on.")
        if done.archive_refused:
            context.log.warning("The file was not renamed: %s", done.archive_refused)
        blocked = "refused" if done.blocked else "not refused"
        work.done(
            f"Cut over after {done.frozen_s:.1f} s; PostgreSQL alone counts from now on. Writes to the old file are "
            f"{blocked}.",
            {
                "estimated_s": round(done.estimated_s, 3),
                "frozen_s": round(done.frozen_s, 3),
                "writers_blocked_in": ", ".join(done.blocked) or "no table",
                "archived_as": str(done.archived_as or "not renamed"),
                "proofs": len(done.passed.verdicts),
                **done.passed.counts,
            },
        )


@dg.job(
    name="cutover",
    description="End the window: freeze the legacy store, take its last changes over under the lock, prove, record. "
    "Any failure leaves both stores as they were. Run config: the store's path as confirmation.",
)
def cutover() -> None:
    """One op."""
    cut_over_op()
