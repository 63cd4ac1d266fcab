"""What every stage does around its one call into the core: names the run, tells failures, writes its report part."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from credstore_pipeline.boundary import told, unforeseen
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.errors import UNCHANGED, CredstoreError
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.report import Part, RunReport
from credstore_pipeline.io_manager import root_run_id
from credstore_pipeline.resources import Credstore


class Stage:
    """One step at work.

    Attributes:
        name: The asset key or check that speaks.
        run_id: The run (of a retry: the run that it retries).
        deployment: Where from, where to, which policies.
        ring: The key ring.
        report: The run's report.
    """

    def __init__(self, name: str, run_id: str, deployment: Deployment, ring: KeyRing) -> None:
        """Open the run's report."""
        self.name, self.run_id, self.deployment, self.ring = name, run_id, deployment, ring
        self.report = RunReport(deployment.places.report_dir, run_id)


@contextmanager
def stage(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext,
    credstore: Credstore,
    name: str,
    state: str = UNCHANGED,
) -> Iterator[Stage]:
    """Run a stage's work; a failure is told in the run's log and in its report, without values."""
    with told(name, state):
        work = Stage(name, root_run_id(context.run), credstore.deployment(), credstore.ring())
        try:
            yield work
        except CredstoreError as error:
            work.report.add(Part(name, "refused", str(error).replace(UNCHANGED, state)))
            raise
        except Exception as error:  # its text may quote a value: only its type and place are kept
            work.report.add(Part(name, "failed", unforeseen(name, error, state)))
            raise
