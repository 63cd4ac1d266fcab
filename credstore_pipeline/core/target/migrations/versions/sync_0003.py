"""The end of the window: cutover."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0003"
down_revision: str | Sequence[str] | None = "0002"

SCHEMA = "credstore_sync"


def upgrade() -> None:
    """Make the table of cutovers."""
    op.create_table(
        "cutover",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("source_path", sa.Text, nullable=False),
        sa.Column("snapshot_name", sa.Text, nullable=False),
        sa.Column("source_digest", sa.Text, nullable=False),
        sa.Column("writers_blocked", sa.Boolean, nullable=False),
        sa.Column("archived_as", sa.Text),
        sa.Column("cut_over_at", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("cleared_at", TIMESTAMP(timezone=True)),
        sa.Column("cleared_by_run", sa.Text),
        sa.PrimaryKeyConstraint("run_id", name="cutover_pkey"),
        schema=SCHEMA,
        comment="One row for each cutover; it stands until a rollback clears it.",
    )


def downgrade() -> None:
    """Forget every cutover."""
    op.drop_table("cutover", schema=SCHEMA)
