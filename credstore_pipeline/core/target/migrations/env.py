"""Runs migrations on the connection that was handed in, inside its transaction; there is no other way to run them."""

from alembic import context

from credstore_pipeline.core.target.sync_models import SCHEMA, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # The application keeps an alembic_version of its own in `public`.
    version_table_schema=SCHEMA,
    include_schemas=True,
)
with context.begin_transaction():
    context.run_migrations()
