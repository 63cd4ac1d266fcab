"""What the final proofs came to."""

from collections.abc import Sequence

from alembic import op

revision = "0005"
down_revision: str | Sequence[str] | None = "0004"


def upgrade() -> None:
    """Create the table."""
    op.execute(
        """
        CREATE TABLE credstore_sync.verified (
            run_id text NOT NULL,
            after_run text,
            red text[] NOT NULL,
            made_at timestamptz NOT NULL,
            CONSTRAINT verified_pkey PRIMARY KEY (run_id)
        )
        """
    )
    op.execute(
        "COMMENT ON TABLE credstore_sync.verified IS 'Each time the final proofs were made: which were red, and the"
        " run that had committed last.'"
    )


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE credstore_sync.verified")
