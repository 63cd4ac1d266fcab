"""What the target's tables look like, from its catalog."""

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from credstore_pipeline.core.frames import TABLES
from credstore_pipeline.core.target.models import application_tables, tables_by_name

NEWER_ASSOCIATIONS = "credential_tag_association"
"""Only the application's newest, other schema has it."""


@dataclass(frozen=True)
class TargetColumn:
    """One column.

    Attributes:
        type: As the catalog names it, without its length: `character varying`, `integer`.
        limit: Longest text in characters, or None if there is none.
        precision: Digits of a timestamp's seconds, or None for all six.
        nullable: Whether it takes NULL.
        filled: Whether it fills itself: a default or an identity.
        generated: Whether nothing can be written into it.
    """

    type: str
    limit: int | None
    precision: int | None
    nullable: bool
    filled: bool
    generated: bool


@dataclass(frozen=True)
class TargetTable:
    """One of the three tables, or what has its name.

    Attributes:
        kind: `r` table, `p` partitioned table, `v` view …, as in `pg_class.relkind`.
        columns: By name, in the table's order.
        unique: Column names of each unique index without a condition, keys included.
        references: Column -> the table it refers to by a foreign key, qualified.
        owned: Whether we may change the table itself.
        notes: What is unlike the application's and no obstacle: triggers, further unique indexes.
    """

    kind: str
    columns: Mapping[str, TargetColumn]
    unique: frozenset[tuple[str, ...]]
    references: Mapping[str, str]
    owned: bool
    notes: tuple[str, ...]


@dataclass(frozen=True)
class TargetShape:
    """The tables that are there, by name; those that are missing are as `create_missing` will make them."""

    schema: str
    schema_exists: bool
    tables: Mapping[str, TargetTable]
    has_newer_associations: bool

    def present(self, table: str) -> bool:
        """Whether the table is there."""
        return table in self.tables

    def owned(self, table: str) -> bool:
        """Whether we may change the table itself; a missing one will be ours."""
        return table not in self.tables or self.tables[table].owned

    def limit(self, table: str, column: str) -> int | None:
        """Give the longest text the column takes, in characters; None if any."""
        if table in self.tables:
            return self.tables[table].columns[column].limit
        planned = tables_by_name(application_tables(self.schema))[table].c[column].type
        return planned.length if isinstance(planned, sa.String) else None

    @property
    def notes(self) -> list[str]:
        """What an operator should know of, and that is no difference."""
        return [f"{name}: {note}" for name, table in self.tables.items() for note in table.notes]


def read_shape(connection: sa.Connection, schema: str) -> TargetShape:
    """Read the shape of the three tables; changes nothing.

    Args:
        connection: Any; as the role that will load, since `owned` is about it.
        schema: Where the application's tables are; may be missing.
    """
    exists = connection.execute(sa.text("SELECT 1 FROM pg_namespace WHERE nspname = :schema"), {"schema": schema})
    relations = connection.execute(
        sa.text(
            "SELECT relname, c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE nspname = :schema AND relname = ANY(:names) AND relkind = ANY('{r,p,v,m,f}')"
        ),
        {"schema": schema, "names": [*TABLES, NEWER_ASSOCIATIONS]},
    )
    found = {row.relname: row.oid for row in relations}
    return TargetShape(
        schema=schema,
        schema_exists=exists.first() is not None,
        tables={name: _read_table(connection, found[name]) for name in TABLES if name in found},
        has_newer_associations=NEWER_ASSOCIATIONS in found,
    )


def _read_table(connection: sa.Connection, oid: int) -> TargetTable:
    table = {"oid": oid}
    kind, owned, notes = connection.execute(sa.text(_TABLE), table).one()
    return TargetTable(
        kind=kind,
        columns={row.name: TargetColumn(*row[1:]) for row in connection.execute(sa.text(_COLUMNS), table)},
        unique=frozenset(tuple(columns) for columns in connection.execute(sa.text(_UNIQUE), table).scalars()),
        references={row.name: row.parent for row in connection.execute(sa.text(_REFERENCES), table)},
        owned=owned,
        notes=tuple(note for note in notes if note),
    )


_TABLE = """
SELECT relkind::text,
       pg_has_role(relowner, 'USAGE'),
       ARRAY[
           CASE WHEN relkind = 'p' THEN 'is partitioned' END,
           CASE WHEN relpersistence = 'u' THEN 'is unlogged: a crash of the server empties it' END,
           CASE WHEN relrowsecurity THEN 'has row level security' END,
           (SELECT 'has triggers: ' || string_agg(tgname, ', ' ORDER BY tgname) FROM pg_trigger
             WHERE tgrelid = c.oid AND NOT tgisinternal),
           (SELECT 'has rules: ' || string_agg(rulename, ', ' ORDER BY rulename) FROM pg_rewrite
             WHERE ev_class = c.oid AND relkind IN ('r', 'p')),
           (SELECT 'has check constraints: ' || string_agg(conname, ', ' ORDER BY conname) FROM pg_constraint
             WHERE conrelid = c.oid AND contype = 'c'),
           (SELECT 'has unique indexes that the application does not make: '
                   || string_agg(i.relname, ', ' ORDER BY i.relname)
              FROM pg_index JOIN pg_class i ON i.oid = indexrelid
             WHERE indrelid = c.oid AND indisunique AND NOT indisprimary
               AND NOT (c.relname = 'tags' AND i.relname = 'ix_tags_name'))
       ]
  FROM pg_class c WHERE oid = :oid
"""

_COLUMNS = """
SELECT attname AS name,
       format_type(atttypid, NULL),
       CASE WHEN atttypid = 'varchar'::regtype AND atttypmod >= 4 THEN atttypmod - 4 END,
       CASE WHEN atttypid IN ('timestamp'::regtype, 'timestamptz'::regtype) AND atttypmod >= 0 THEN atttypmod END,
       NOT attnotnull,
       atthasdef OR attidentity <> '',
       attgenerated <> '' OR attidentity = 'a'
  FROM pg_attribute WHERE attrelid = :oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""

_UNIQUE = """
SELECT (SELECT array_agg(attname::text ORDER BY place)
          FROM unnest(indkey::int2[]) WITH ORDINALITY AS key(number, place)
          JOIN pg_attribute ON attrelid = indrelid AND attnum = number
         WHERE place <= indnkeyatts)
  FROM pg_index
 WHERE indrelid = :oid AND indisunique AND indisvalid AND indimmediate AND indpred IS NULL AND indexprs IS NULL
"""

_REFERENCES = """
SELECT attname AS name, nspname || '.' || relname AS parent
  FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
  JOIN pg_class parent ON parent.oid = confrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
 WHERE conrelid = :oid AND contype = 'f' AND cardinality(conkey) = 1
"""
