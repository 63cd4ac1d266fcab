"""What every stage does around its one call into the core: names the run, tells failures, writes its report part."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from credstore_pipeline.boundary import Telling, told
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.errors import UNCHANGED, CredstoreError
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.report import Outcome, Part, RunReport, overall
from credstore_pipeline.resources import Credstore
from credstore_pipeline.retries import run_of_snapshot

REPORT_STEP = "report__migration"
"""The step of `report/migration`, as Dagster names it."""


class Stage:
    """One step at work.

    Attributes:
        name: The asset key or check that speaks.
        run_id: The run (of a retry from failure: the run that took its snapshot).
        deployment: Where from, where to, which policies.
        ring: The key ring.
        began: When the stage began, in seconds, monotonic.
        report: The run's report.
    """

    def __init__(self, telling: Telling, run_id: str, deployment: Deployment, ring: KeyRing, began: float) -> None:
        """Open the run's report; `began` is when the stage did, by `time.monotonic`."""
        self.name, self.run_id, self.deployment, self.ring = telling.stage, run_id, deployment, ring
        self._telling = telling
        self.began = began
        self.report = RunReport(deployment.places.report_dir, run_id, began)

    def stands(self, done: str) -> None:
        """Say what is true from now on: called as soon as the core committed, before anything is told of it."""
        self._telling.stands(done)

    @property
    def seconds(self) -> float:
        """Seconds since the stage began."""
        return round(time.monotonic() - self.began, 3)

    def speed(self, rows: int) -> dict[str, float]:
        """Seconds so far, and rows a second, as numbers that the UI plots."""
        seconds = self.seconds
        return {"seconds": seconds, "rows_per_s": round(rows / max(seconds, 0.001), 1)}


@contextmanager
def stage(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext,
    credstore: Credstore,
    name: str,
    state: str = UNCHANGED,
) -> Iterator[Stage]:
    """Run a stage's work; a failure is told in the run's log and in its report, without values."""
    began = time.monotonic()
    with told(name, state) as telling:
        run_id = run_of_snapshot(context.run, context.instance)
        work = Stage(telling, run_id, credstore.deployment(), credstore.ring(), began)
        try:
            yield work
        except Exception as error:
            outcome: Outcome = "refused" if isinstance(error, CredstoreError) else "failed"
            work.report.add_failure(Part(name, outcome, telling.text(error)))
            raise
        finally:
            _show(context, work.report)


def _is_last(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> bool:
    """Whether this step ends the run: the report does where there is one; else every step that none waits for."""
    own = context.op_execution_context.op.name
    if any(node.name == REPORT_STEP for node in context.job_def.nodes):
        return own == REPORT_STEP
    inputs = [found for needs in context.job_def.dependencies.values() for found in needs.values()]
    return not any(before.node == own for found in inputs for before in found.get_node_dependencies())


def _show(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, report: RunReport) -> None:
    """Draw the page if the run ends here, as its last step or because this one refused or failed."""
    try:
        if not _is_last(context) and overall(report.parts()) not in ("refused", "failed"):
            return
        # Imported here: drawing takes as long to import as a small store to migrate, and only the last step draws.
        from credstore_pipeline.report.page import write_page

        write_page(report)
    except Exception as error:  # a page that cannot be drawn must not hide how the run ended
        context.log.warning("report.html was not written: %s.", type(error).__name__)
