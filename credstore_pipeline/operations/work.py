"""What every operation does around its one call into the core."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dagster as dg

from credstore_pipeline.assets.tables import as_table
from credstore_pipeline.boundary import Telling, told
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.errors import CredstoreError
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.report import Outcome, Part, RunReport
from credstore_pipeline.resources import Credstore


@dataclass(frozen=True)
class Work:
    """One operation at work.

    Attributes:
        context: Dagster's, for logs and metadata.
        deployment: Both stores.
        ring: Their keys.
        run_id: This run.
        report: Its report.
        telling: What a failure says about the data.
    """

    context: dg.OpExecutionContext
    deployment: Deployment
    ring: KeyRing
    run_id: str
    report: RunReport
    telling: Telling

    def stands(self, done: str) -> None:
        """Say what is true from now on: called as soon as the core returned, before anything is told of it."""
        self.telling.stands(done)

    def log(self, line: str) -> None:
        """Say a line in the run's log."""
        self.context.log.info("%s", line)

    def done(self, text: str, metadata: Mapping[str, Any], **tables: list[dict[str, Any]]) -> None:
        """Say how it ended: in the run's log, with the run in the UI, and in its report.

        Args:
            text: One or more sentences.
            metadata: Figures and texts.
            tables: Small tables by name.
        """
        self.log(text)
        shown = {name: as_table(rows) for name, rows in tables.items()}
        self.context.add_output_metadata({**metadata, **shown})
        numbers = {name: value for name, value in metadata.items() if isinstance(value, (int, float))}
        self.report.add(Part(self.context.op.name, "done", text, numbers, tables))


@contextmanager
def operation(context: dg.OpExecutionContext, credstore: Credstore, state: str) -> Iterator[Work]:
    """Run an operation; a failure is told without values.

    Args:
        context: Dagster's.
        credstore: Settings and keys.
        state: What state the data is in if it fails before `Work.stands`, where the core says that the target is
            unchanged.
    """
    with told(context.op.name, state) as telling:
        deployment = credstore.deployment()
        report = RunReport(deployment.places.report_dir, context.run_id)
        try:
            yield Work(context, deployment, credstore.ring(), context.run_id, report, telling)
        except Exception as error:
            outcome: Outcome = "refused" if isinstance(error, CredstoreError) else "failed"
            report.add_failure(Part(context.op.name, outcome, telling.text(error)))
            raise
