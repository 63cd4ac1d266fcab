"""The three-way re-sync: conflicts, and what its guards compare."""

from collections.abc import Sequence

from alembic import op

revision = "0002"
down_revision: str | Sequence[str] | None = "0001"

STATEMENTS = (
    # Naive UTC, as the application's own columns: it is compared with them.
    "ALTER TABLE credstore_sync.row_state ADD COLUMN source_updated_at timestamp",
    "ALTER TABLE credstore_sync.quarantine ADD COLUMN of_loaded_row boolean NOT NULL DEFAULT false",
    "ALTER TABLE credstore_sync.runs ADD COLUMN settings_digest text",
    "ALTER TABLE credstore_sync.runs ADD COLUMN proven_at timestamptz",
    """
    CREATE TABLE credstore_sync.conflicts (
        conflict_id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT conflicts_pkey PRIMARY KEY,
        source_table text NOT NULL,
        row_id text NOT NULL,
        column_name text NOT NULL,
        kind text NOT NULL,
        policy text NOT NULL,
        outcome text NOT NULL,
        source_fp bytea,
        target_fp bytea,
        sealed_source text,
        sealed_target text,
        first_run text NOT NULL,
        seen_at timestamptz NOT NULL,
        settled_by text,
        settled_at timestamptz
    )
    """,
    """
    CREATE UNIQUE INDEX conflicts_waiting ON credstore_sync.conflicts (source_table, row_id, column_name)
        WHERE outcome = 'waiting'
    """,
    "COMMENT ON TABLE credstore_sync.conflicts IS 'What was changed on both sides, and what became of it;"
    " values sealed, column * is the whole row.'",
)


def upgrade() -> None:
    """Add what the re-sync keeps."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drop what was added."""
    op.execute("DROP TABLE credstore_sync.conflicts")
    for table, column in (
        ("row_state", "source_updated_at"),
        ("quarantine", "of_loaded_row"),
        ("runs", "settings_digest"),
        ("runs", "proven_at"),
    ):
        op.execute(f"ALTER TABLE credstore_sync.{table} DROP COLUMN {column}")
