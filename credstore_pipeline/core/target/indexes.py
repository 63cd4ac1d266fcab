"""Indexes that the application does not make, and that selection and counting gain from (docs/store.md, "Indexes").

Without them every selection by tag and every recorded login reads the whole of credential_tags. They are a step of
their own that nothing needs: whether the application's tables get further indexes is for their owner to say.
"""

import sqlalchemy as sa

from credstore_pipeline.core.deployment import Target
from credstore_pipeline.core.target.connect import make_engine, quoted
from credstore_pipeline.core.target.failures import boundary

INDEXES = {
    "credstore_credential_tags_by_tag": ("tag_id",),
    "credstore_credential_tags_by_credential": ("credential_id", "tag_id"),
}
"""Name -> columns, all on credential_tags. No counter, time or priority is in them: updates stay cheap."""


def add_indexes(target: Target, run_id: str) -> list[str]:
    """Build what is missing, without keeping readers or writers waiting; returns the names of what was built.

    Args:
        target: Where credential_tags is; its owner alone may do this.
        run_id: Shown to the database's operator.

    Raises:
        TargetError: If the server refuses, for example because the table belongs to another role.
    """
    # Outside of a transaction: only so can an index be built beside writers.
    engine = make_engine(target, run_id).execution_options(isolation_level="AUTOCOMMIT")
    built = []
    with boundary("building indexes"), engine.connect() as connection:
        connection.execute(sa.text("SET statement_timeout = 0"))
        for name, columns in INDEXES.items():
            valid = _is_valid(connection, target.schema, name)
            if valid:
                continue
            if valid is not None:
                # Left behind by a build that was ended; it is kept up to date, and of no use.
                connection.execute(sa.text(f"DROP INDEX CONCURRENTLY {quoted(target.schema, name)}"))
            place = f"{quoted(target.schema, 'credential_tags')} ({', '.join(columns)})"
            connection.execute(sa.text(f"CREATE INDEX CONCURRENTLY {quoted(name)} ON {place}"))
            built.append(name)
    return built


def _is_valid(connection: sa.Connection, schema: str, name: str) -> bool | None:
    return connection.execute(
        sa.text(
            "SELECT indisvalid FROM pg_catalog.pg_index WHERE indexrelid ="
            " (SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace"
            " WHERE nspname = :schema AND relname = :name)"
        ),
        {"schema": schema, "name": name},
    ).scalar()
