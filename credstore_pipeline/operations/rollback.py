"""Job `rollback_export`: the way back to SQLite."""

from pathlib import Path

import dagster as dg
from pydantic import Field

from credstore_pipeline.core.rollback.export import Wish, rollback_export
from credstore_pipeline.operations.work import operation
from credstore_pipeline.resources import Credstore


class RollbackConfig(dg.Config):
    """What the operator decides."""

    to: str = Field(
        default="", description="Where the file is to be, an absolute path; beside the snapshots by default."
    )
    flavour: str = Field(
        default="source",
        description="`source`: the tables that the legacy store had. `orm`: those of the store's own models, which "
        "hold everything.",
        pattern="^(source|orm)$",
    )
    allow_loss: list[str] = Field(default=[], description="Names of what may be left out, as a refusal listed them.")
    swap: bool = Field(
        default=False, description="Put the file in the legacy store's place and clear the record of the cutover."
    )
    confirm_plaintext: bool = Field(
        default=False, description="With CREDSTORE_ROLLBACK_FORMAT=plaintext: that passwords may stand in the clear."
    )


@dg.op(name="export", out=dg.Out(dg.Nothing))
def export_op(context: dg.OpExecutionContext, config: RollbackConfig, credstore: Credstore) -> None:
    """Write the target's store into a new SQLite file, read it back, and exchange it for the old one if asked."""
    with operation(context, credstore, "Both stores are as they were.") as work:
        wish = Wish(
            to=Path(config.to) if config.to else None,
            flavour="orm" if config.flavour == "orm" else "source",
            allow_loss=tuple(config.allow_loss),
            swap=config.swap,
            confirm_plaintext=config.confirm_plaintext,
        )
        done = rollback_export(work.deployment, work.ring, work.run_id, wish, work.log)
        where = f"in place; the old file is {done.aside}" if wish.swap else "not in use; nothing else was changed"
        written = f"The file {done.path} holds what PostgreSQL holds, read back and equal. It is {where}."
        work.stands(written)
        losses = [{"loss": loss.name, "rows": len(loss.ids), "why": loss.why} for loss in done.losses]
        work.done(
            written,
            {
                "path": dg.MetadataValue.path(str(done.path)),
                "old_file": str(done.aside or "where it was"),
                "rows_compared": done.compared,
                "quarantined_rows_as_they_were": done.quarantined,
                **{f"{table}_rows": count for table, count in done.rows.items()},
            },
            left_out=losses,
        )


@dg.job(
    name="rollback_export",
    description="Write the PostgreSQL store into a new SQLite file that the old application reads, and prove it. "
    "`swap: true` puts it in the store's place and clears the cutover.",
)
def rollback_export_job() -> None:
    """One op."""
    export_op()
