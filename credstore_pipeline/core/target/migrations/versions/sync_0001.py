"""The tables of the first release. Never changed again: what comes later is a migration of its own."""

from collections.abc import Sequence

from alembic import op

revision = "0001"
down_revision: str | Sequence[str] | None = None

STATEMENTS = (
    """
    CREATE TABLE credstore_sync.data_key (
        id smallint NOT NULL CONSTRAINT data_key_pkey PRIMARY KEY CONSTRAINT data_key_is_one CHECK (id = 1),
        wrapped bytea NOT NULL,
        created_at timestamptz NOT NULL,
        created_by_run text NOT NULL
    )
    """,
    """
    CREATE TABLE credstore_sync.runs (
        run_id text NOT NULL CONSTRAINT runs_pkey PRIMARY KEY,
        kind text NOT NULL,
        pipeline_version text NOT NULL,
        started_at timestamptz,
        snapshot_began_at timestamptz,
        snapshot_ended_at timestamptz,
        finished_at timestamptz,
        snapshot_name text,
        source_digest text,
        flavour text,
        counts jsonb NOT NULL DEFAULT '{}'::jsonb
    )
    """,
    """
    CREATE TABLE credstore_sync.row_state (
        source_table text NOT NULL,
        row_id text NOT NULL,
        source_fp bytea NOT NULL,
        target_fp bytea,
        success_count integer,
        failure_count integer,
        target_success_count integer,
        target_failure_count integer,
        adopted boolean NOT NULL DEFAULT false,
        tombstone_at timestamptz,
        CONSTRAINT row_state_pkey PRIMARY KEY (source_table, row_id)
    )
    """,
    """
    CREATE TABLE credstore_sync.tag_map (
        source_id text NOT NULL CONSTRAINT tag_map_pkey PRIMARY KEY,
        target_id text NOT NULL,
        how text NOT NULL,
        first_run text NOT NULL,
        mapped_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE credstore_sync.repairs (
        source_table text NOT NULL,
        source_id text NOT NULL,
        column_name text NOT NULL,
        rule text NOT NULL,
        value text,
        first_run text NOT NULL,
        repaired_at timestamptz NOT NULL,
        CONSTRAINT repairs_pkey PRIMARY KEY (source_table, source_id, column_name, rule)
    )
    """,
    """
    CREATE TABLE credstore_sync.quarantine (
        quarantine_id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT quarantine_pkey PRIMARY KEY,
        source_table text NOT NULL,
        source_rowid bigint,
        source_id text,
        reason text NOT NULL,
        detail text,
        sealed_row text NOT NULL,
        content_fp bytea NOT NULL,
        first_run text NOT NULL,
        seen_at timestamptz NOT NULL,
        resolved_at timestamptz
    )
    """,
    """
    CREATE UNIQUE INDEX quarantine_open_row
        ON credstore_sync.quarantine (source_table, source_rowid, content_fp) WHERE resolved_at IS NULL
    """,
    "COMMENT ON TABLE credstore_sync.data_key IS 'The data key, wrapped under the target key; one row.'",
    "COMMENT ON TABLE credstore_sync.runs IS 'One row for each run whose transaction was committed.'",
    "COMMENT ON TABLE credstore_sync.row_state IS 'Fingerprints of each row that the pipeline wrote or adopted,"
    " as of the last load: 8 bytes a column.'",
    "COMMENT ON TABLE credstore_sync.tag_map IS 'Source tags that are another tag in the target.'",
    "COMMENT ON TABLE credstore_sync.repairs IS 'Statistics that were set to a safe value;"
    " source_id * is the whole table.'",
    "COMMENT ON TABLE credstore_sync.quarantine IS 'Rows that were refused, sealed, with the reason.'",
)


def upgrade() -> None:
    """Create the tables; `target/sync.py` has made the schema, since the version table is in it."""
    for statement in STATEMENTS:
        op.execute(statement)
