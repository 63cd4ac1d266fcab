"""The application's tables as ORM models, and the expressions that read them as every part of the store does.

The columns are those of `credstore_pipeline.core.target.models`; nothing is described twice.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped

from credstore_pipeline.core.target.models import NAIVE_TIME, application_tables, tables_by_name
from credstore_pipeline.store.connecting import MODEL_SCHEMA

TABLES = tables_by_name(application_tables(MODEL_SCHEMA))


class StoreRow(DeclarativeBase):
    """What the three models have in common."""


class TagRow(StoreRow):
    """One row of tags."""

    __table__ = TABLES["tags"]
    id: Mapped[str]
    name: Mapped[str]
    description: Mapped[str | None]
    color: Mapped[str | None]
    created_at: Mapped[datetime | None]
    updated_at: Mapped[datetime | None]


class CredentialRow(StoreRow):
    """One row of credentials; `password` is the sealed text."""

    __table__ = TABLES["credentials"]
    id: Mapped[str]
    name: Mapped[str]
    description: Mapped[str | None]
    username: Mapped[str]
    password: Mapped[str | None]
    use_keys: Mapped[bool | None]
    key_file: Mapped[str | None]
    success_count: Mapped[int | None]
    failure_count: Mapped[int | None]
    last_used: Mapped[datetime | None]
    last_success: Mapped[datetime | None]
    last_failure: Mapped[datetime | None]
    created_at: Mapped[datetime | None]
    updated_at: Mapped[datetime | None]


class AssociationRow(StoreRow):
    """One row of credential_tags."""

    __table__ = TABLES["credential_tags"]
    id: Mapped[str]
    credential_id: Mapped[str]
    tag_id: Mapped[str]
    priority: Mapped[float | None]
    success_count: Mapped[int | None]
    failure_count: Mapped[int | None]
    last_used: Mapped[datetime | None]
    last_success: Mapped[datetime | None]
    last_failure: Mapped[datetime | None]
    created_at: Mapped[datetime | None]
    updated_at: Mapped[datetime | None]


def utc(moment: sa.ColumnElement[datetime]) -> sa.ColumnElement[datetime]:
    """Turn a moment of the server's clock into the application's form: UTC, without zone."""
    return sa.func.timezone("UTC", moment, type_=NAIVE_TIME)


CHANGED_AT = utc(sa.func.clock_timestamp())
"""For changes: taken anew after a wait for a row's lock, so that times never run backwards under concurrency."""

STATED_AT = utc(sa.func.statement_timestamp())
"""For new rows and for reading: one moment for the whole statement."""

# What the application means by NULL.
PRIORITY = sa.func.coalesce(AssociationRow.priority, 0.0, type_=sa.Double())
LINK_SUCCESSES = sa.func.coalesce(AssociationRow.success_count, 0)
LINK_FAILURES = sa.func.coalesce(AssociationRow.failure_count, 0)
SUCCESSES = sa.func.coalesce(CredentialRow.success_count, 0)
FAILURES = sa.func.coalesce(CredentialRow.failure_count, 0)

OLDEST_FIRST = (CredentialRow.created_at.asc().nulls_last(), CredentialRow.id)
"""How ties are broken wherever credentials are put in an order."""
