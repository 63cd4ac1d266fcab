"""What every stage does around its one call into the core: names the run, tells failures, writes its report part."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from credstore_pipeline.boundary import told, unforeseen
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.errors import UNCHANGED, CredstoreError
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.report import Part, RunReport, overall
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

    def __init__(self, name: str, run_id: str, deployment: Deployment, ring: KeyRing, began: float) -> None:
        """Open the run's report; `began` is when the stage did, by `time.monotonic`."""
        self.name, self.run_id, self.deployment, self.ring = name, run_id, deployment, ring
        self.began = began
        self.report = RunReport(deployment.places.report_dir, run_id, began)

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
    with told(name, state):
        run_id = run_of_snapshot(context.run, context.instance)
        work = Stage(name, run_id, credstore.deployment(), credstore.ring(), began)
        try:
            yield work
        except CredstoreError as error:
            work.report.add(Part(name, "refused", str(error).replace(UNCHANGED, state)))
            raise
        except Exception as error:  # its text may quote a value: only its type and place are kept
            work.report.add(Part(name, "failed", unforeseen(name, error, state)))
            raise
        finally:
            if _is_last(context) or overall(work.report.parts()) in ("refused", "failed"):
                _show(context, work.report)


def _is_last(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> bool:
    """Whether this step ends the run: the report does where there is one; else every step that none waits for."""
    own = context.op_execution_context.op.name
    if any(node.name == REPORT_STEP for node in context.job_def.nodes):
        return own == REPORT_STEP
    inputs = [found for needs in context.job_def.dependencies.values() for found in needs.values()]
    return not any(before.node == own for found in inputs for before in found.get_node_dependencies())


def _show(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, report: RunReport) -> None:
    # Imported here: drawing takes as long to import as a small store to migrate, and only the last step draws.
    from credstore_pipeline.report.page import write_page

    try:
        write_page(report)
    except Exception as error:  # a page that cannot be drawn must not hide how the run ended
        context.log.warning(
            "report.html was not written: %s. report.json and report.md are there.", type(error).__name__
        )
