"""Which tables the pipeline takes as the application's, and in words what is unlike them."""

import sqlalchemy as sa

from credstore_pipeline.core.errors import ShapeRefused
from credstore_pipeline.core.frames import TABLES
from credstore_pipeline.core.target.models import application_tables, tables_by_name
from credstore_pipeline.core.target.shape import TargetColumn, TargetShape, TargetTable

FITTING: dict[type, tuple[str, ...]] = {
    sa.Text: ("text", "character varying"),
    sa.String: ("character varying", "text"),
    sa.Integer: ("integer", "bigint"),
    sa.Double: ("double precision",),
    sa.Boolean: ("boolean",),
    sa.TIMESTAMP: ("timestamp without time zone",),
}
"""A model's type -> the catalog's types that hold all its values exactly. Text is a String too, and comes first."""

ALWAYS_WRITTEN = frozenset({"success_count", "failure_count", "priority", "created_at", "updated_at"})
"""Nullable columns of the application that never get a NULL from us, so that NOT NULL is no difference."""

KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}


def require_known_shape(shape: TargetShape) -> None:
    """Let pass what is the application's.

    Raises:
        ShapeRefused: With all differences.
    """
    differences = check_shape(shape)
    if differences:
        raise ShapeRefused(
            f"schema {shape.schema} of the target",
            "its tables are not those of the application's versions that this pipeline writes for: "
            + "; ".join(differences)
            + ".",
            todo="Name the right database and CREDSTORE_TARGET_SCHEMA, or bring the tables to that shape.",
        )


def check_shape(shape: TargetShape) -> list[str]:
    """List in words how the tables differ from the application's; empty if they do not.

    No difference: missing tables, missing or further indexes but the key on `id`, foreign keys, longer or shorter
    texts (`TargetShape.limit`), further columns that fill themselves, and other tables.
    """
    if _is_newer(shape):
        return [
            "they have integer ids"
            + (" and credential_tag_association" if shape.has_newer_associations else "")
            + ": this is the schema of the application's newer version, which stores credentials in another way"
        ]
    return [
        f"{name} {difference}" for name in TABLES if name in shape.tables for difference in _differences(shape, name)
    ]


def _is_newer(shape: TargetShape) -> bool:
    ids = (table.columns.get("id") for name, table in shape.tables.items() if name != "credential_tags")
    return any(column is not None and column.type in ("integer", "bigint") for column in ids)


def _differences(shape: TargetShape, name: str) -> list[str]:
    table, model = shape.tables[name], tables_by_name(application_tables(shape.schema))[name]
    if table.kind in KINDS:
        return [f"is {KINDS[table.kind]}, not a table"]
    found = []
    for column in model.columns:
        actual = table.columns.get(column.name)
        if actual is None:
            found.append(f"has no column {column.name}")
        else:
            found += [f"column {column.name} {difference}" for difference in _column_differences(column, actual)]
    for extra, actual in table.columns.items():
        if extra not in model.columns and not actual.nullable and not actual.filled and not actual.generated:
            found.append(f"has a column {extra} that must not be NULL and has no default")
    return found + _key_differences(table)


def _column_differences(column: sa.Column[object], actual: TargetColumn) -> list[str]:
    found = []
    fitting = next(names for kind, names in FITTING.items() if isinstance(column.type, kind))
    if actual.type not in fitting:
        found.append(f"is {actual.type}, not {fitting[0]}")
    if actual.precision not in (None, 6):
        found.append(f"keeps {actual.precision} digits of a second, not 6")
    if actual.generated:
        found.append("is computed by the database")
    if column.nullable and not actual.nullable and column.name not in ALWAYS_WRITTEN:
        found.append("must not be NULL")
    return found


def _key_differences(table: TargetTable) -> list[str]:
    return [] if ("id",) in table.unique else ["has no primary key or unique index on id"]
