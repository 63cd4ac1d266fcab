"""Indexes that the application does not make, and that selection and counting gain from (docs/store.md, "Indexes").

Without them every selection by tag and every recorded login reads the whole of credential_tags.
"""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from credstore_pipeline.core.target.connect import quoted

INDEXES = {
    "credstore_credential_tags_by_tag": ("tag_id",),
    "credstore_credential_tags_by_credential": ("credential_id", "tag_id"),
}
"""Name -> columns, all on credential_tags. No counter, time or priority is in them: updates stay cheap."""


def build_indexes(session: Session, schema: str) -> list[str]:
    """Build what is missing, without keeping readers or writers waiting; returns the names of what was built.

    Args:
        session: Outside of a transaction, on a connection that nobody else uses.
        schema: Where credential_tags is; its owner alone may do this.
    """
    built = []
    session.execute(sa.text("SET statement_timeout = 0"))
    try:
        for name, columns in INDEXES.items():
            valid = _is_valid(session, schema, name)
            if valid:
                continue
            if valid is not None:
                # Left behind by a build that was ended; it is kept up to date, and of no use.
                session.execute(sa.text(f"DROP INDEX CONCURRENTLY {quoted(schema, name)}"))
            place = f"{quoted(schema, 'credential_tags')} ({', '.join(columns)})"
            session.execute(sa.text(f"CREATE INDEX CONCURRENTLY {quoted(name)} ON {place}"))
            built.append(name)
    finally:
        session.execute(sa.text("RESET statement_timeout"))
    return built


def _is_valid(session: Session, schema: str, name: str) -> bool | None:
    return session.execute(
        sa.text(
            "SELECT indisvalid FROM pg_catalog.pg_index WHERE indexrelid ="
            " (SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace"
            " WHERE nspname = :schema AND relname = :name)"
        ),
        {"schema": schema, "name": name},
    ).scalar()
