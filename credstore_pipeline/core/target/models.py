"""The application's three tables as its models make them, under the same names.

Source: docs/legacy-formats.md, "PostgreSQL".
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

NAIVE_TIME = postgresql.TIMESTAMP(timezone=False)
"""The application's timestamps: naive, meant as UTC."""


def application_tables(schema: str, *, bare: bool = False, wide_password: bool = False) -> sa.MetaData:
    """Describe the tables; each call gives objects of its own.

    Args:
        schema: Where they are.
        bare: Without primary keys, foreign keys and indexes, as a bulk load likes them.
        wide_password: With `text` instead of `varchar(1024)` for the sealed password.

    Returns:
        Metadata whose tables `tables_by_name` finds; columns in the application's order.
    """
    metadata = sa.MetaData(schema=schema)
    sa.Table(
        "tags",
        metadata,
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(50), nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("color", sa.String(7)),
        *_times("created_at", "updated_at"),
    )
    sa.Table(
        "credentials",
        metadata,
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("username", sa.String(255), nullable=False),
        sa.Column("password", sa.Text if wide_password else sa.String(1024)),
        sa.Column("use_keys", sa.Boolean),
        sa.Column("key_file", sa.String(1024)),
        *_statistics(),
    )
    sa.Table(
        "credential_tags",
        metadata,
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("credential_id", sa.String(36), nullable=False),
        sa.Column("tag_id", sa.String(36), nullable=False),
        sa.Column("priority", sa.Double),
        *_statistics(),
    )
    if not bare:
        tables = tables_by_name(metadata)
        for table in tables.values():
            _add_keys(table, tables)
    return metadata


def tables_by_name(metadata: sa.MetaData) -> dict[str, sa.Table]:
    """Find the tables under their names without schema, in foreign-key order."""
    return {table.name: table for table in metadata.tables.values()}


def _add_keys(table: sa.Table, tables: dict[str, sa.Table]) -> None:
    # Named in full: SQLAlchemy would put a schema's name into the names of indexes.
    table.append_constraint(sa.PrimaryKeyConstraint("id", name=f"{table.name}_pkey"))
    sa.Index(f"ix_{table.name}_id", table.c.id)
    if table.name == "tags":
        sa.Index("ix_tags_name", table.c.name, unique=True)
    elif table.name == "credentials":
        sa.Index("ix_credentials_name", table.c.name)
    else:
        for column, parent in (("credential_id", "credentials"), ("tag_id", "tags")):
            table.append_constraint(
                sa.ForeignKeyConstraint(
                    [column],
                    [tables[parent].c.id],
                    name=f"{table.name}_{column}_fkey",
                    ondelete="CASCADE",
                )
            )


def _statistics() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("success_count", sa.Integer),
        sa.Column("failure_count", sa.Integer),
        *_times("last_used", "last_success", "last_failure", "created_at", "updated_at"),
    )


def _times(*names: str) -> tuple[sa.Column[object], ...]:
    return tuple(sa.Column(name, NAIVE_TIME) for name in names)
