"""What was seeded once."""

from collections.abc import Sequence

from alembic import op

revision = "0004"
down_revision: str | Sequence[str] | None = "0003"


def upgrade() -> None:
    """Create the table."""
    op.execute(
        """
        CREATE TABLE credstore_sync.seeded (
            kind text NOT NULL,
            name text NOT NULL,
            row_id text NOT NULL,
            how text NOT NULL,
            first_run text NOT NULL,
            seeded_at timestamptz NOT NULL,
            CONSTRAINT seeded_pkey PRIMARY KEY (kind, name)
        )
        """
    )
    op.execute(
        "COMMENT ON TABLE credstore_sync.seeded IS 'Tags and credentials that were seeded once, or found there:"
        " what an operator deletes stays deleted.'"
    )
