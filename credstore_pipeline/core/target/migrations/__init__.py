"""Migrations of the pipeline's own schema, by Alembic."""
