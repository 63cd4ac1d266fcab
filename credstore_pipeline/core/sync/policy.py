"""Which policy decides a conflict."""

from collections.abc import Collection
from typing import Literal

from credstore_pipeline.core.deployment import Policies
from credstore_pipeline.core.load.columns import SECRETS

Decision = Literal["manual", "source", "target"]


def column_policy(policies: Policies, column: str) -> Decision:
    """The policy for a column: usernames and passwords have one of their own."""
    return policies.secret_conflicts if column in SECRETS else policies.conflicts


def row_policy(policies: Policies, changed: Collection[str]) -> Decision:
    """The policy for a row that one side deleted and the other changed: as a secret's, if one was changed."""
    return policies.secret_conflicts if SECRETS & set(changed) else policies.conflicts
