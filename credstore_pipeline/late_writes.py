"""The check that nobody writes to the legacy store after cutover."""

import dagster as dg

from credstore_pipeline.assets.snapshot import sqlite_store
from credstore_pipeline.assets.stage import stage
from credstore_pipeline.checks import WRITES_NOTHING
from credstore_pipeline.core.drift import find_drift
from credstore_pipeline.core.report import Part
from credstore_pipeline.core.watching import state_of
from credstore_pipeline.resources import Credstore


@dg.asset_check(
    asset=sqlite_store,
    name="no_write_after_cutover",
    description="Since cutover no row was added, changed or deleted in the legacy file, renamed or not, and no file "
    "was made at the path that a renamed one had.",
)
def no_write_after_cutover(context: dg.AssetCheckExecutionContext, credstore: Credstore) -> dg.AssetCheckResult:
    """Compare the legacy file with the snapshot of the final pass, row by row; opens no password."""
    with stage(context, credstore, "no_write_after_cutover", WRITES_NOTHING) as work:
        cutover = state_of(work.deployment, work.ring, work.run_id).cutover
        if cutover is None:
            text = "The store was not cut over."
            work.report.add(Part(work.name, "done", text))
            return dg.AssetCheckResult(passed=True, description=text)
        place = cutover.place(work.deployment.source.sqlite_path)
        drift = find_drift(work.deployment, work.ring, cutover.snapshot_name, place)
        text = f"The store was {cutover.told}; since then: {drift.told()}."
        anew = cutover.made_anew(work.deployment.source.sqlite_path)
        if anew:
            text += f" A file was made at {anew} after the store was renamed: somebody writes there."
        late = bool(drift.rows or anew)
        if late:
            text += (
                " Stop who wrote them, and make the changes in PostgreSQL by hand; or go back with `rollback_export`."
            )
        context.log.log(40 if late else 20, "%s", text)
        work.report.add(Part(work.name, "failed" if late else "done", text, {"rows_written_late": drift.rows}))
    return dg.AssetCheckResult(
        passed=not late,
        severity=dg.AssetCheckSeverity.ERROR,
        description=text,
        metadata={"rows_written_late": drift.rows},
    )
