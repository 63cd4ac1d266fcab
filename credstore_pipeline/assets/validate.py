"""`validated/*` and `quarantine/rows`: what the target can hold, and what stays behind, sealed."""

import dagster as dg

from credstore_pipeline.assets.columns import lineage
from credstore_pipeline.assets.extract import EXTRACTED
from credstore_pipeline.assets.preflight import CENSUS
from credstore_pipeline.assets.snapshot import SNAPSHOT
from credstore_pipeline.assets.stage import stage
from credstore_pipeline.assets.tables import as_check, as_proofs, as_table
from credstore_pipeline.boundary import told
from credstore_pipeline.core.census import census
from credstore_pipeline.core.frames import TABLES, Frame
from credstore_pipeline.core.report import Part
from credstore_pipeline.core.validation.gates import refusal
from credstore_pipeline.core.validation.validate import validate
from credstore_pipeline.resources import Credstore

VALIDATED = {table: dg.AssetKey(["validated", table]) for table in TABLES}
QUARANTINE = dg.AssetKey(["quarantine", "rows"])

GATES = {
    "nothing_is_lost": "Every extracted row is validated or quarantined, by row id, and none is both.",
    "quarantine_is_allowed": "No more rows stay behind than CREDSTORE_MAX_QUARANTINED and "
    "CREDSTORE_MAX_QUARANTINED_LINKS allow.",
}


@dg.multi_asset(
    name="validated",
    ins={
        "snapshot": dg.AssetIn(SNAPSHOT),
        "judged": dg.AssetIn(CENSUS),
        **{f"extracted_{table}": dg.AssetIn(EXTRACTED[table]) for table in TABLES},
    },
    outs={
        **{
            table: dg.AssetOut(
                key=VALIDATED[table],
                group_name="validate",
                kinds={"pandas"},
                description=f"Rows of `{table}` that the target can hold: statistics repaired and listed, "
                "passwords sealed under the target key.",
            )
            for table in TABLES
        },
        "quarantine": dg.AssetOut(
            key=QUARANTINE,
            group_name="validate",
            kinds={"pandas"},
            description="Rows that cannot be migrated, whole and sealed, each with a reason, on their way to "
            "`credstore_sync.quarantine`.",
        ),
    },
    check_specs=[
        dg.AssetCheckSpec(
            name,
            asset=QUARANTINE if name == "quarantine_is_allowed" else VALIDATED["credentials"],
            blocking=True,
            description=text,
        )
        for name, text in GATES.items()
    ],
)
def validated(  # noqa: ANN201
    context: dg.AssetExecutionContext,
    credstore: Credstore,
    snapshot: Frame,
    judged: Frame,
    extracted_tags: Frame,
    extracted_credentials: Frame,
    extracted_credential_tags: Frame,
):
    """Apply the row rules: repair statistics, map tags, quarantine what would have to be guessed."""
    with stage(context, credstore, "validated") as work:
        extracted = {
            "tags": extracted_tags,
            "credentials": extracted_credentials,
            "credential_tags": extracted_credential_tags,
        }
        result = validate(work.deployment, work.ring, work.run_id, snapshot, extracted, judged)
        gates = {"nothing_is_lost": result.accounted, "quarantine_is_allowed": result.allowed}
        failed = [verdict for verdict in gates.values() if not verdict.passed]
        work.report.add(
            Part(
                work.name,
                "refused" if failed else "done",
                " ".join(verdict.text for verdict in failed or gates.values()),
                result.numbers,
                {
                    "Quarantine by reason": result.quarantined_by_reason,
                    "Repairs by rule": result.repairs_by_rule,
                    "Tags mapped": result.mapped_tags,
                    "Tags that differ in the target": result.tags_that_differ,
                    "Quarantined rows": result.quarantined_rows,
                    "Gates": as_proofs(gates),
                },
            )
        )
    speed = work.speed(sum(frame.rows.num_rows for frame in extracted.values()))
    for table in TABLES:
        frame = result.frames[table]
        yield dg.Output(
            frame,
            output_name=table,
            metadata={
                "dagster/row_count": frame.rows.num_rows,
                "repaired": frame.tables["repairs"].num_rows,
                "quarantined": result.numbers[f"{table}_quarantined"],
                **(
                    {"sealed": _sealed(frame), "kept": census(judged.rows)["kept_byte_for_byte"]}
                    if table == "credentials"
                    else {}
                ),
                **speed,
                **lineage("validated", table),
                **({"duplicate_pairs": result.numbers["duplicate_pairs"]} if table == "credential_tags" else {}),
                **({"repairs": as_table(result.repairs_by_rule)} if table == "credentials" else {}),
                **(
                    {"mapped": as_table(result.mapped_tags), "differing": as_table(result.tags_that_differ)}
                    if table == "tags"
                    else {}
                ),
            },
        )
    yield dg.Output(
        result.quarantine,
        output_name="quarantine",
        metadata={
            "dagster/row_count": result.quarantine.rows.num_rows,
            **{f"quarantined_{what}": result.numbers[f"quarantined_{what}"] for what in ("credentials", "links")},
            "by_reason": as_table(result.quarantined_by_reason),
            "rows": as_table(result.quarantined_rows),
        },
    )
    yield as_check(result.accounted, "nothing_is_lost", VALIDATED["credentials"])
    yield as_check(result.allowed, "quarantine_is_allowed", QUARANTINE)
    if failed:
        # Said by the step itself too, so that it stands where a person looks first.
        with told("validated"):
            raise refusal(failed[0])


def _sealed(credentials: Frame) -> int:
    """Rows with a password."""
    return credentials.rows.num_rows - credentials.rows["password"].null_count
