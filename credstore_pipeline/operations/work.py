"""What every operation does around its one call into the core."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dagster as dg

from credstore_pipeline.boundary import told
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.resources import Credstore


@dataclass(frozen=True)
class Work:
    """One operation at work.

    Attributes:
        context: Dagster's, for logs and metadata.
        deployment: Both stores.
        ring: Their keys.
        run_id: This run.
    """

    context: dg.OpExecutionContext
    deployment: Deployment
    ring: KeyRing
    run_id: str

    def log(self, line: str) -> None:
        """Say a line in the run's log."""
        self.context.log.info("%s", line)

    def show(self, metadata: Mapping[str, Any]) -> None:
        """Show figures with the run."""
        self.context.add_output_metadata(dict(metadata))


@contextmanager
def operation(context: dg.OpExecutionContext, credstore: Credstore, state: str) -> Iterator[Work]:
    """Run an operation; a failure is told without values.

    Args:
        context: Dagster's.
        credstore: Settings and keys.
        state: What state the data is in if it fails, where the core says that the target is unchanged.
    """
    with told(context.op.name, state):
        yield Work(context, credstore.deployment(), credstore.ring(), context.run_id)
