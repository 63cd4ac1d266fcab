"""What was seeded once."""

from collections.abc import Sequence

revision = "0004"
down_revision: str | Sequence[str] | None = "0003"


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
