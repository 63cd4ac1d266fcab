"""Which load a run's edits follow."""

from collections.abc import Sequence

from alembic import op

revision = "0006"
down_revision: str | Sequence[str] | None = "0005"


def upgrade() -> None:
    """Add the column; NULL for a run that looked at all rows."""
    op.execute("ALTER TABLE credstore_sync.runs ADD COLUMN edits_of text")


def downgrade() -> None:
    """Drop it."""
    op.execute("ALTER TABLE credstore_sync.runs DROP COLUMN edits_of")
