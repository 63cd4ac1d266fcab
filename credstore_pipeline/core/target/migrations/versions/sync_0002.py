"""The three-way re-sync: conflicts."""

from collections.abc import Sequence

revision = "0002"
down_revision: str | Sequence[str] | None = "0001"


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
