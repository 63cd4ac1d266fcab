"""The end of the window: cutover."""

from collections.abc import Sequence

revision = "0003"
down_revision: str | Sequence[str] | None = "0002"


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
