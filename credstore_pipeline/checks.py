"""The final proofs: snapshot and target read anew, from fresh connections, trusting no step before."""

import dagster as dg

from credstore_pipeline.assets.load import POSTGRES
from credstore_pipeline.assets.stage import stage
from credstore_pipeline.assets.tables import as_check, as_proofs
from credstore_pipeline.boundary import told
from credstore_pipeline.core.errors import ProofFailed
from credstore_pipeline.core.progress import Progress
from credstore_pipeline.core.proofs.outcome import final_proofs
from credstore_pipeline.core.proofs.prove import CLAIMS
from credstore_pipeline.core.report import Part
from credstore_pipeline.resources import Credstore

WRITES_NOTHING = "What was loaded stands as it is: the proofs write nothing."


@dg.multi_asset_check(
    name="proofs",
    specs=[
        dg.AssetCheckSpec(name, asset=POSTGRES[claim.table], blocking=claim.fatal, description=claim.text)
        for name, claim in CLAIMS.items()
    ],
)
def proofs(context: dg.AssetCheckExecutionContext, credstore: Credstore):  # noqa: ANN201
    """Open every password on both sides once and compare; writes its outcome alone."""
    with stage(context, credstore, "proofs", WRITES_NOTHING) as work:

        def log_progress(total: int) -> Progress:
            return Progress("Opening both sides for the proofs", total, context.log.info)

        verdicts = final_proofs(work.deployment, work.ring, work.run_id, log_progress, context.log.warning)
        failed = {name: verdict for name, verdict in verdicts.items() if not verdict.passed and verdict.fatal}
        numbers = {
            f"{name}.{figure}": value for name, verdict in verdicts.items() for figure, value in verdict.numbers.items()
        }
        text = f"{len(failed)} proofs failed: {', '.join(failed)}." if failed else "Every proof holds."
        work.report.add(Part(work.name, "failed" if failed else "done", text, numbers, {"Proofs": as_proofs(verdicts)}))
    for name, verdict in verdicts.items():
        if not verdict.passed:
            context.log.log(40 if verdict.fatal else 30, "%s: %s", name, verdict.text)
        yield as_check(verdict, name, POSTGRES[CLAIMS[name].table])
    if failed:
        # Said by the step itself too, so that it stands where a person looks first.
        with told("proofs", WRITES_NOTHING):
            found = "\n".join(f"  {name}: {verdict.text}" for name, verdict in failed.items())
            todo = f"What each means, and what to do, is told under `docs` of its check.\n{found}"
            raise ProofFailed("proofs", f"{len(failed)} do not hold", state=WRITES_NOTHING, todo=todo)
