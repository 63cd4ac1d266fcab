"""The pipeline's own tables beside the application's: keys, runs, bases, mappings, repairs, quarantine.

Nothing in them is a password or a key in the clear (`docs/architecture.md`, "The schema credstore_sync").
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, TIMESTAMP

SCHEMA = "credstore_sync"
metadata = sa.MetaData(schema=SCHEMA)


def _time(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, TIMESTAMP(timezone=True), nullable=nullable)


data_key = sa.Table(
    "data_key",
    metadata,
    sa.Column("id", sa.SmallInteger, autoincrement=False, nullable=False),
    sa.Column("wrapped", BYTEA, nullable=False),
    _time("created_at", nullable=False),
    sa.Column("created_by_run", sa.Text, nullable=False),
    sa.PrimaryKeyConstraint("id", name="data_key_pkey"),
    sa.CheckConstraint("id = 1", name="data_key_is_one"),
    comment="The data key, wrapped under the target key; one row.",
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("pipeline_version", sa.Text, nullable=False),
    _time("started_at"),
    _time("snapshot_began_at"),
    _time("snapshot_ended_at"),
    _time("finished_at"),
    sa.Column("snapshot_name", sa.Text),
    sa.Column("source_digest", sa.Text),
    sa.Column("flavour", sa.Text),
    sa.Column("counts", JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
    sa.Column("settings_digest", sa.Text),
    _time("proven_at"),
    sa.Column("edits_of", sa.Text),
    sa.PrimaryKeyConstraint("run_id", name="runs_pkey"),
    comment="One row for each run whose transaction was committed.",
)

row_state = sa.Table(
    "row_state",
    metadata,
    sa.Column("source_table", sa.Text, nullable=False),
    sa.Column("row_id", sa.Text, nullable=False),
    sa.Column("source_fp", BYTEA, nullable=False),
    sa.Column("target_fp", BYTEA),
    sa.Column("success_count", sa.Integer),
    sa.Column("failure_count", sa.Integer),
    sa.Column("target_success_count", sa.Integer),
    sa.Column("target_failure_count", sa.Integer),
    sa.Column("adopted", sa.Boolean, nullable=False, server_default=sa.false()),
    _time("tombstone_at"),
    sa.Column("source_updated_at", TIMESTAMP),
    sa.PrimaryKeyConstraint("source_table", "row_id", name="row_state_pkey"),
    comment="Fingerprints of each row that the pipeline wrote or adopted, as of the last load: 8 bytes a column.",
)

tag_map = sa.Table(
    "tag_map",
    metadata,
    sa.Column("source_id", sa.Text, nullable=False),
    sa.Column("target_id", sa.Text, nullable=False),
    sa.Column("how", sa.Text, nullable=False),
    sa.Column("first_run", sa.Text, nullable=False),
    _time("mapped_at", nullable=False),
    sa.PrimaryKeyConstraint("source_id", name="tag_map_pkey"),
    comment="Source tags that are another tag in the target.",
)

repairs = sa.Table(
    "repairs",
    metadata,
    sa.Column("source_table", sa.Text, nullable=False),
    sa.Column("source_id", sa.Text, nullable=False),
    sa.Column("column_name", sa.Text, nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("value", sa.Text),
    sa.Column("first_run", sa.Text, nullable=False),
    _time("repaired_at", nullable=False),
    sa.PrimaryKeyConstraint("source_table", "source_id", "column_name", "rule", name="repairs_pkey"),
    comment="Statistics that were set to a safe value; source_id * is the whole table.",
)

quarantine = sa.Table(
    "quarantine",
    metadata,
    sa.Column("quarantine_id", sa.BigInteger, sa.Identity(always=True), nullable=False),
    sa.Column("source_table", sa.Text, nullable=False),
    sa.Column("source_rowid", sa.BigInteger),
    sa.Column("source_id", sa.Text),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("detail", sa.Text),
    sa.Column("sealed_row", sa.Text, nullable=False),
    sa.Column("content_fp", BYTEA, nullable=False),
    sa.Column("first_run", sa.Text, nullable=False),
    _time("seen_at", nullable=False),
    _time("resolved_at"),
    sa.Column("of_loaded_row", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.PrimaryKeyConstraint("quarantine_id", name="quarantine_pkey"),
    comment="Rows that were refused, sealed, with the reason.",
)
sa.Index(
    "quarantine_open_row",
    quarantine.c.source_table,
    quarantine.c.source_rowid,
    quarantine.c.content_fp,
    unique=True,
    postgresql_where=quarantine.c.resolved_at.is_(None),
)

conflicts = sa.Table(
    "conflicts",
    metadata,
    sa.Column("conflict_id", sa.BigInteger, sa.Identity(always=True), nullable=False),
    sa.Column("source_table", sa.Text, nullable=False),
    sa.Column("row_id", sa.Text, nullable=False),
    sa.Column("column_name", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("policy", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("source_fp", BYTEA),
    sa.Column("target_fp", BYTEA),
    sa.Column("sealed_source", sa.Text),
    sa.Column("sealed_target", sa.Text),
    sa.Column("first_run", sa.Text, nullable=False),
    _time("seen_at", nullable=False),
    sa.Column("settled_by", sa.Text),
    _time("settled_at"),
    sa.PrimaryKeyConstraint("conflict_id", name="conflicts_pkey"),
    comment="What was changed on both sides, and what became of it; values sealed, column * is the whole row.",
)
sa.Index(
    "conflicts_waiting",
    conflicts.c.source_table,
    conflicts.c.row_id,
    conflicts.c.column_name,
    unique=True,
    postgresql_where=conflicts.c.outcome == "waiting",
)

cutover = sa.Table(
    "cutover",
    metadata,
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("source_path", sa.Text, nullable=False),
    sa.Column("snapshot_name", sa.Text, nullable=False),
    sa.Column("source_digest", sa.Text, nullable=False),
    sa.Column("writers_blocked", sa.Boolean, nullable=False),
    sa.Column("archived_as", sa.Text),
    _time("cut_over_at", nullable=False),
    _time("cleared_at"),
    sa.Column("cleared_by_run", sa.Text),
    sa.PrimaryKeyConstraint("run_id", name="cutover_pkey"),
    comment="One row for each cutover; it stands until a rollback clears it.",
)

seeded = sa.Table(
    "seeded",
    metadata,
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("row_id", sa.Text, nullable=False),
    sa.Column("how", sa.Text, nullable=False),
    sa.Column("first_run", sa.Text, nullable=False),
    _time("seeded_at", nullable=False),
    sa.PrimaryKeyConstraint("kind", "name", name="seeded_pkey"),
    comment="Tags and credentials that were seeded once, or found there: what an operator deletes stays deleted.",
)

verified = sa.Table(
    "verified",
    metadata,
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("after_run", sa.Text),
    sa.Column("red", ARRAY(sa.Text), nullable=False),
    _time("made_at", nullable=False),
    sa.PrimaryKeyConstraint("run_id", name="verified_pkey"),
    comment="Each time the final proofs were made: which were red, and the run that had committed last.",
)
