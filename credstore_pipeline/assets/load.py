"""`postgres/*`: the three tables, written together in one transaction and proven before it commits."""

import dagster as dg
from pydantic import Field

from credstore_pipeline.assets.columns import lineage
from credstore_pipeline.assets.snapshot import SNAPSHOT
from credstore_pipeline.assets.stage import stage
from credstore_pipeline.assets.validate import QUARANTINE, VALIDATED
from credstore_pipeline.core.frames import TABLES, Frame
from credstore_pipeline.core.load.transaction import load
from credstore_pipeline.core.load.unchanged import load_unchanged
from credstore_pipeline.core.passing import cargo_of
from credstore_pipeline.core.progress import Progress
from credstore_pipeline.core.report import Part
from credstore_pipeline.core.taken import edits_of, is_idle, snapshot_counts
from credstore_pipeline.core.validation.gates import require_gates
from credstore_pipeline.freshness import freshness
from credstore_pipeline.resources import Credstore


class LoadConfig(dg.Config):
    """What an operator may say about one load."""

    confirm: dict[str, int] = Field(
        default={},
        description="Guards that this load may override, each by the number that it showed when it refused, such as "
        "`deleted_credentials: 40`. Holds for this run alone.",
    )


POSTGRES = {table: dg.AssetKey(["postgres", table]) for table in TABLES}

DESCRIPTIONS = {
    "tags": "The application's tags. A tag of the same name that was there before stands for the source's.",
    "credentials": "The application's credentials; passwords in its envelope `default` under the target key.",
    "credential_tags": "Which credential is used for which tag, with the source's priorities and counters.",
}


@dg.multi_asset(
    name="postgres",
    ins={
        "snapshot": dg.AssetIn(SNAPSHOT),
        "quarantine": dg.AssetIn(QUARANTINE),
        **{table: dg.AssetIn(VALIDATED[table]) for table in TABLES},
    },
    outs={
        table: dg.AssetOut(
            key=POSTGRES[table],
            group_name="load",
            kinds={"postgres"},
            description=f"{DESCRIPTIONS[table]} Written with the other two in one transaction.",
            dagster_type=dg.Nothing,
            io_manager_key="io_manager",
            freshness_policy=freshness(),
        )
        for table in TABLES
    },
)
def postgres(  # noqa: ANN201
    context: dg.AssetExecutionContext,
    credstore: Credstore,
    config: LoadConfig,
    snapshot: Frame,
    quarantine: Frame,
    tags: Frame,
    credentials: Frame,
    credential_tags: Frame,
):
    """Load tags, credentials and associations whole or not at all."""
    frames = {"tags": tags, "credentials": credentials, "credential_tags": credential_tags}
    with stage(context, credstore, "postgres") as work:
        require_gates(quarantine, work.deployment.policies)
        cargo = cargo_of(frames, quarantine, snapshot, work.ring)
        progress = Progress("Reading back and opening", credentials.rows.num_rows, context.log.info)
        if is_idle(snapshot):
            loaded = load_unchanged(work.deployment, work.ring, work.run_id, cargo.snapshot, log=context.log.info)
        else:
            loaded = load(
                work.deployment,
                work.ring,
                work.run_id,
                cargo,
                log=context.log.info,
                progress=progress,
                confirm=config.confirm,
            )
        work.stands("The load is committed and proven, and stands.")
        numbers = {
            f"{table}_{what}": count for table, counts in loaded.counts.items() for what, count in counts.items()
        }
        written = sum(loaded.counts[table][what] for table in TABLES for what in ("inserted", "updated"))
        deleted = sum(loaded.counts[table]["deleted"] for table in TABLES)
        text = (
            f"{loaded.kind} load committed: {written} rows written, {loaded.proven_rows} read back, opened and equal; "
            f"{deleted} deleted, {loaded.counts['ledger'].get('conflicts_waiting', 0)} conflicts wait."
        )
        if is_idle(snapshot):
            text = "Nothing changed since the last load, which was proven: nothing was written."
        work.report.add(Part(work.name, "done", text, dict(numbers)))
        rows = (
            snapshot_counts(snapshot)
            if is_idle(snapshot) or edits_of(snapshot)
            else {table: frame.rows.num_rows for table, frame in frames.items()}
        )
    speed = work.speed(sum(rows.values()))
    context.log.info("%s", text)
    # Yielded after the commit: Dagster keeps what was yielded even if the transaction is rolled back.
    for table in TABLES:
        yield dg.Output(
            None,
            output_name=table,
            metadata={
                "dagster/row_count": rows[table],
                "kind": loaded.kind,
                **loaded.counts[table],
                **speed,
                **lineage("postgres", table),
            },
        )
