"""`preflight/census`: how every password is stored and what the target looks like, before anything is written."""

import dagster as dg

from credstore_pipeline.assets.extract import EXTRACTED
from credstore_pipeline.assets.pictures import picture_of_census
from credstore_pipeline.assets.stage import stage
from credstore_pipeline.assets.tables import as_check, as_proofs, as_table
from credstore_pipeline.boundary import told
from credstore_pipeline.core.census import census, census_of
from credstore_pipeline.core.frames import TABLES, Frame
from credstore_pipeline.core.judging import judge
from credstore_pipeline.core.preflight import look_at_target, secrets_verdict
from credstore_pipeline.core.progress import Progress
from credstore_pipeline.core.published import published_rows, published_verdict
from credstore_pipeline.core.report import Part
from credstore_pipeline.core.taken import published_before
from credstore_pipeline.core.validation.gates import LISTED, refusal
from credstore_pipeline.resources import Credstore

CENSUS = dg.AssetKey(["preflight", "census"])


@dg.asset(
    key=CENSUS,
    ins={table: dg.AssetIn(EXTRACTED[table]) for table in TABLES},
    group_name="preflight",
    kinds={"pandas"},
    check_specs=[
        dg.AssetCheckSpec(
            "every_secret_opens",
            asset=CENSUS,
            blocking=True,
            description="Every stored password was opened by a key of the ring, or its row is named with the reason "
            "why it was not.",
        ),
        dg.AssetCheckSpec(
            "no_published_default_passwords",
            asset=CENSUS,
            description="No password is one of those that the application's setup script puts in and that everyone "
            "can know; whoever has one is named by id.",
        ),
    ],
)
def preflight_census(  # noqa: ANN201
    context: dg.AssetExecutionContext, credstore: Credstore, tags: Frame, credentials: Frame, credential_tags: Frame
):
    """Count how passwords are stored: encoding, key, derivation, depth; and look at the target. Writes nothing.

    Every password is opened once here and sealed at once for the target; validation uses the same pass.
    """
    with stage(context, credstore, "preflight/census") as work:
        rows = {"tags": tags.rows, "credentials": credentials.rows, "credential_tags": credential_tags.rows}
        target = look_at_target(work.deployment, work.ring, work.run_id, rows)
        progress = Progress("Opening and sealing passwords", credentials.rows.num_rows, context.log.info)
        judged = judge(credentials, work.ring, target.wrapped_data_key, work.deployment.policies, progress)
        counted, table = census(judged.rows), census_of(judged)
        published = published_rows(credentials.rows, judged.rows)
        known_to_all = published_verdict(published, published_before(credentials))
        ends_here = _VALIDATED not in context.job_def.asset_layer.selected_asset_keys
        verdict = secrets_verdict(
            credentials.rows, judged.rows, work.deployment.policies, work.ring, ends_here=ends_here
        )
        speed = work.speed(judged.rows.num_rows)
        work.report.add(
            Part(
                work.name,
                "done" if verdict.passed else "refused" if verdict.fatal else "warning",
                verdict.text,
                {**counted, **target.numbers},
                {
                    "Census": table,
                    "Target": target.findings,
                    "Gates": as_proofs({"every_secret_opens": verdict, "no_published_default_passwords": known_to_all}),
                    **({"Published default passwords": published[:LISTED]} if published else {}),
                },
            )
        )
        picture = picture_of_census(work.report)
    context.log.info("Census: %s", table)
    for warning in work.ring.warnings:
        context.log.warning("Keys: %s", warning)
    yield dg.Output(
        judged,
        metadata={
            **counted,
            "dagster/row_count": judged.rows.num_rows,
            **speed,
            "census": as_table(table),
            "census_picture": dg.MetadataValue.md(picture),
            "target": as_table(target.findings),
            **target.numbers,
        },
    )
    yield as_check(known_to_all, "no_published_default_passwords", CENSUS)
    if not known_to_all.passed:
        context.log.warning(known_to_all.text)
    yield as_check(verdict, "every_secret_opens", CENSUS)
    if not verdict.passed:
        context.log.log(40 if verdict.fatal else 30, verdict.text)
    if not verdict.passed and verdict.fatal:
        # Said by the step itself too, so that it stands where a person looks first.
        with told("preflight/census"):
            raise refusal(verdict)


_VALIDATED = dg.AssetKey(["validated", "credentials"])
