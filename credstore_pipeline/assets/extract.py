"""`extracted/*`: the store's three tables out of the snapshot, value by value as SQLite holds them."""

import dagster as dg

from credstore_pipeline.assets.snapshot import SNAPSHOT
from credstore_pipeline.assets.stage import stage
from credstore_pipeline.core.frames import TABLES, Frame
from credstore_pipeline.core.passing import extracted_rows
from credstore_pipeline.core.report import Part
from credstore_pipeline.core.taken import edits_of, is_idle, snapshot_counts, snapshot_shape
from credstore_pipeline.resources import Credstore

EXTRACTED = {table: dg.AssetKey(["extracted", table]) for table in TABLES}

DESCRIPTIONS = {
    "tags": "Tags as the snapshot holds them. A store whose tags live in the web database has none.",
    "credentials": "Credentials as the snapshot holds them; the password column as stored, unopened, and sealed "
    "between steps.",
    "credential_tags": "Which credential is used for which tag, with priorities and counters, as the snapshot holds "
    "them.",
}

NO_CREDENTIALS = "There are no credentials: there is nothing to migrate."


@dg.multi_asset(
    name="extracted",
    ins={"snapshot": dg.AssetIn(SNAPSHOT)},
    outs={
        table: dg.AssetOut(
            key=EXTRACTED[table], group_name="extract", kinds={"sqlite"}, description=DESCRIPTIONS[table]
        )
        for table in TABLES
    },
)
def extracted(context: dg.AssetExecutionContext, credstore: Credstore, snapshot: Frame):  # noqa: ANN201
    """Read each table by column name; what a value was in SQLite survives."""
    with stage(context, credstore, "extracted") as work:
        frames = extracted_rows(work.deployment, snapshot)
        read = {table: frame.rows.num_rows for table, frame in frames.items()}
        counts = snapshot_counts(snapshot)
        speed = work.speed(sum(counts.values()))
        text = "All rows were read by name." if counts["credentials"] else NO_CREDENTIALS
        if is_idle(snapshot):
            text = "Nothing changed since the last load, so that no row was read."
        elif edits_of(snapshot):
            text = (
                f"Since the last load rows were edited and nothing else happened: {read['credentials']} credentials "
                f"and {read['credential_tags']} associations were read, and all tags."
            )
        flavour = snapshot_shape(snapshot).flavour
        left_out = sum(counts.values()) - sum(read.values())
        numbers = {**counts, **({"rows_left_out": left_out} if left_out else {})}
        work.report.add(Part(work.name, "done", f"{text} Flavour: {flavour}.", numbers))
    context.log.info("%s %s", text, counts)
    for table, frame in frames.items():
        yield dg.Output(
            frame,
            output_name=table,
            metadata={
                "dagster/row_count": counts[table],
                "rows_read": read[table],
                **speed,
                "columns_absent": frame.notes["absent_columns"] or "none",
                "table_absent": frame.notes.get("absent", "false"),
            },
        )
