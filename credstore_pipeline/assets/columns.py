"""Columns of the table assets, what each means, and which column it comes from; shown by the UI."""

from collections.abc import Mapping

import dagster as dg

from credstore_pipeline.core.source.inspect import KNOWN_COLUMNS
from credstore_pipeline.core.target.models import application_tables, tables_by_name

OWNERS = ["team:credential-store"]
"""Who answers for the flow; a team's name, so that no person's address stands in the code."""

MEANINGS: Mapping[str, str] = {
    "id": "The row's id, the application's UUID as text.",
    "name": "What people call it.",
    "description": "Free text.",
    "color": "The tag's colour, as #rrggbb.",
    "username": "The login name on devices.",
    "password": "The password, always sealed; never shown anywhere.",
    "use_keys": "Whether the login is by SSH key.",
    "key_file": "Path of the SSH key's file.",
    "credential_id": "The credential that is used.",
    "tag_id": "For which tag.",
    "priority": "Higher is tried first.",
    "success_count": "Logins that succeeded.",
    "failure_count": "Logins that failed.",
    "last_used": "Last login, UTC.",
    "last_success": "Last login that succeeded, UTC.",
    "last_failure": "Last login that failed, UTC.",
    "created_at": "When the row was made, UTC.",
    "updated_at": "When the row was last written, UTC; moves at every login.",
    "source_rowid": "SQLite's rowid.",
    "source_table": "The table of the store.",
    "source_id": "The row's id in the store.",
    "reason": "Reason code; the documentation, “Reasons”, says what to do.",
    "detail": "The column that is at fault, and why; no value.",
    "row": "The whole row, sealed.",
}
"""Column -> what it means."""

ORIGIN: Mapping[str, str] = {"extracted": "backup", "validated": "extracted", "postgres": "validated"}
"""Place of a table asset -> the place that its columns come from."""

QUARANTINED = ("source_table", "source_rowid", "source_id", "reason", "detail", "row")


def stored(table: str) -> dg.TableSchema:
    """Columns as any of the store's flavours may have them; SQLite's types are per value."""
    return dg.TableSchema(
        [
            _column("source_rowid", "integer", nullable=False),
            *(_column(name, "per value") for name in KNOWN_COLUMNS[table]),
        ]
    )


def loaded(table: str) -> dg.TableSchema:
    """Columns as the application's models make them."""
    described = tables_by_name(application_tables("public"))[table]
    unique = {index.columns[0].name for index in described.indexes if index.unique}
    return dg.TableSchema(
        [
            dg.TableColumn(
                column.name,
                str(column.type).lower(),
                MEANINGS[column.name],
                constraints=dg.TableColumnConstraints(
                    nullable=bool(column.nullable), unique=column.primary_key or column.name in unique
                ),
            )
            for column in described.columns
        ]
    )


def refused() -> dg.TableSchema:
    """Columns of the quarantine."""
    return dg.TableSchema([_column(name, "integer" if name == "source_rowid" else "text") for name in QUARANTINED])


def lineage(place: str, table: str) -> dict[str, dg.TableColumnLineage]:
    """Where each column comes from, as metadata of a materialization.

    Args:
        place: First part of the asset's key: `validated` or `postgres`.
        table: The store's table.
    """
    upstream = ORIGIN[place]
    known = {column.name for column in (stored(table) if upstream == "extracted" else loaded(table)).columns}
    deps = {
        column.name: [dg.TableColumnDep(dg.AssetKey([upstream, table]), column.name)]
        for column in loaded(table).columns
        if column.name in known
    }
    return {"dagster/column_lineage": dg.TableColumnLineage(deps)}


def schema(columns: dg.TableSchema) -> dict[str, dg.TableSchema]:
    """A table's columns as metadata of its definition."""
    return {"dagster/column_schema": columns}


def _column(name: str, kind: str, *, nullable: bool = True) -> dg.TableColumn:
    return dg.TableColumn(name, kind, MEANINGS[name], constraints=dg.TableColumnConstraints(nullable=nullable))
