"""`report/migration`: what happened, as JSON and Markdown, once everything is proven."""

import dagster as dg

from credstore_pipeline.assets.load import POSTGRES
from credstore_pipeline.assets.pictures import outcome_of_run, pictures_of_run
from credstore_pipeline.assets.stage import stage
from credstore_pipeline.core.report import Part
from credstore_pipeline.core.sync.unchanged import mark_proven
from credstore_pipeline.io_manager import SealedParquetIOManager
from credstore_pipeline.resources import Credstore

REPORT = dg.AssetKey(["report", "migration"])

LOADED = "The load is committed and proven; only the report is missing."


@dg.asset(key=REPORT, deps=list(POSTGRES.values()), group_name="report", kinds={"markdown"})
def report_migration(context: dg.AssetExecutionContext, credstore: Credstore) -> dg.MaterializeResult:
    """Say that the store was migrated, only after every proof; and remove this run's files between steps.

    A refused or failed run has its report too: each stage writes its part as it ends.
    """
    with stage(context, credstore, "report/migration", LOADED) as work:
        mark_proven(work.deployment, work.run_id)
        work.report.add(Part(work.name, "done", "Every proof held. The store is migrated."))
        SealedParquetIOManager(credstore=credstore).forget(work.run_id)
    return dg.MaterializeResult(
        metadata={
            "outcome": outcome_of_run(work.report),
            # Paths, to be copied: a browser opens no file from a page of the UI, so that a link would do nothing.
            "page": dg.MetadataValue.path(str(work.report.html_path)),
            "report": dg.MetadataValue.path(str(work.report.markdown_path)),
            "report_json": dg.MetadataValue.path(str(work.report.json_path)),
            **pictures_of_run(work.report),
            "summary": dg.MetadataValue.md(work.report.markdown_path.read_text(encoding="utf-8")),
        }
    )
