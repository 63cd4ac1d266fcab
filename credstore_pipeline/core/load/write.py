"""Writes one table's rows and their base, in sets, inside the load's transaction."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from credstore_pipeline.core.errors import CredstoreError, TargetError, TransientTargetError
from credstore_pipeline.core.load.classify import Classes, classify
from credstore_pipeline.core.load.columns import SCHEMAS
from credstore_pipeline.core.load.foreign import compare_foreign
from credstore_pipeline.core.load.meaning import Meaning, Packed, as_binary
from credstore_pipeline.core.load.reading import put_ids, put_table, qualified
from credstore_pipeline.core.target.bulk import copy_in

RUN_AGAIN = "Launch the job again: it reads the target anew."


@dataclass
class Written:
    """What the load did to one table; ids of rows it wrote are in `pg_temp.written_<table>`.

    Attributes:
        table: The table.
        whole: Whether the table was created by this load, and so holds our rows alone.
        counts: Rows by what happened to them.
    """

    table: str
    whole: bool
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Incoming:
    """One table's validated rows with what they mean.

    Attributes:
        table: The table.
        rows: Validated rows, at least the columns of `SCHEMAS[table]`.
        packed: Their fingerprints, one row a row.
    """

    table: str
    rows: pa.Table
    packed: Packed

    def subset(self, ids: list[str]) -> "Incoming":
        """The rows with the given ids, in that order."""
        if len(ids) == self.rows.num_rows:
            return self
        order = pc.index_in(pa.array(ids, pa.string()), self.rows["id"].combine_chunks())
        return Incoming(self.table, self.rows.take(order), self.packed[order.to_numpy(zero_copy_only=False)])


def write_created(connection: Connection, schema: str, incoming: Incoming) -> Written:
    """Copy all rows straight into a table that this transaction created and that has no keys yet."""
    known = connection.exec_driver_sql(
        "SELECT count(*) FROM credstore_sync.row_state WHERE source_table = %s", (incoming.table,)
    ).scalar_one()
    if known:
        raise CredstoreError(
            f"{schema}.{incoming.table}",
            f"the table was missing, but {known} of its rows were loaded before",
            todo="If the database was reset on purpose, drop the schema credstore_sync as well and launch again; "
            "else restore the table from the application's backup.",
        )
    columns = SCHEMAS[incoming.table].names
    copy_in(connection, incoming.rows.select(columns), qualified(schema, incoming.table), columns)
    _put_base(connection, incoming)
    return Written(incoming.table, whole=True, counts=_counts(inserted=incoming.rows.num_rows))


def write_existing(connection: Connection, schema: str, incoming: Incoming, meaning: Meaning) -> Written:
    """Insert what is new, update what changed in the source alone, adopt what means the same.

    Raises:
        TransientTargetError: If the application wrote the same rows meanwhile.
        TargetError: If rows of the application differ that validation has not seen.
    """
    classes = classify(connection, schema, incoming.table, incoming.rows["id"], incoming.packed, meaning)
    adopted = _adopt(connection, schema, incoming, classes, meaning)
    new = _with_parents(connection, schema, incoming, classes.new)
    changed = _with_parents(connection, schema, incoming, classes.changed)
    parentless = len(classes.new) + len(classes.changed) - len(new) - len(changed)
    inserted, updated = incoming.subset(new), incoming.subset(changed)
    _insert(connection, schema, inserted)
    _update(connection, schema, updated)
    put_ids(
        connection,
        f"written_{incoming.table}",
        pa.chunked_array([*inserted.rows["id"].chunks, *updated.rows["id"].chunks], pa.string()),
    )
    counts = _counts(
        inserted=len(new),
        updated=len(changed),
        adopted=adopted,
        kept=len(classes.kept),
        gone=len(classes.gone) + parentless,
    )
    return Written(incoming.table, whole=False, counts=counts)


def _counts(*, inserted: int = 0, updated: int = 0, adopted: int = 0, kept: int = 0, gone: int = 0) -> dict[str, int]:
    return {"inserted": inserted, "updated": updated, "adopted": adopted, "kept": kept, "gone": gone}


def _insert(connection: Connection, schema: str, incoming: Incoming) -> None:
    if not incoming.rows.num_rows:
        return
    columns = SCHEMAS[incoming.table].names
    name = f"new_{incoming.table}"
    _put_rows(connection, schema, name, incoming)
    listed = ", ".join(columns)
    written = connection.exec_driver_sql(
        f"INSERT INTO {qualified(schema, incoming.table)} ({listed}) SELECT {listed} FROM pg_temp.{name} "
        "ON CONFLICT DO NOTHING"
    ).rowcount
    if written != incoming.rows.num_rows:
        raise TransientTargetError(
            f"{schema}.{incoming.table}",
            f"{incoming.rows.num_rows - written} rows with the same id or name appeared meanwhile",
            todo=RUN_AGAIN,
        )
    _put_base(connection, incoming)


def _update(connection: Connection, schema: str, incoming: Incoming) -> None:
    if not incoming.rows.num_rows:
        return
    name = f"changed_{incoming.table}"
    _put_rows(connection, schema, name, incoming)
    assigned = ", ".join(f"{column} = c.{column}" for column in SCHEMAS[incoming.table].names[1:])
    connection.exec_driver_sql(
        f"UPDATE {qualified(schema, incoming.table)} t SET {assigned} FROM pg_temp.{name} c WHERE t.id = c.id"
    )
    _put_base(connection, incoming)


def _adopt(connection: Connection, schema: str, incoming: Incoming, classes: Classes, meaning: Meaning) -> int:
    foreign = compare_foreign(connection, schema, incoming.table, incoming.rows, meaning, classes.foreign)
    if foreign.differing:
        raise TargetError(
            f"{schema}.{incoming.table}",
            f"{len(foreign.differing)} rows of the application with a source row's id appeared or changed meanwhile",
            todo=RUN_AGAIN,
        )
    _put_base(connection, incoming.subset(foreign.ids), found=foreign.fingerprints)
    return len(foreign.ids)


def _with_parents(connection: Connection, schema: str, incoming: Incoming, ids: list[str]) -> list[str]:
    """Associations whose credential or tag the application deleted stay out, as their parent does."""
    if incoming.table != "credential_tags" or not ids:
        return ids
    rows = incoming.subset(ids).rows
    there = pa.array([True] * rows.num_rows)
    for column, parent in (("credential_id", "credentials"), ("tag_id", "tags")):
        known = connection.exec_driver_sql(f"SELECT id FROM {qualified(schema, parent)}").scalars()
        there = pc.and_(there, pc.is_in(rows[column].combine_chunks(), pa.array(list(known), pa.string())))
    return list(rows["id"].filter(there).to_pylist())


def _put_rows(connection: Connection, schema: str, name: str, incoming: Incoming) -> None:
    columns = SCHEMAS[incoming.table].names
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE {name} ON COMMIT DROP AS SELECT {', '.join(columns)} "
        f"FROM {qualified(schema, incoming.table)} WITH NO DATA"
    )
    copy_in(connection, incoming.rows.select(columns), f"pg_temp.{name}", columns)


def _put_base(connection: Connection, incoming: Incoming, found: Packed | None = None) -> None:
    """Record what was last seen of the rows: the source's meaning, and the target's where it was found there."""
    count = incoming.rows.num_rows
    if not count:
        return
    zero = pa.nulls(count, pa.int64())
    counted = incoming.table != "tags"
    base = pa.table(
        {
            "source_table": pa.array(np.full(count, incoming.table)),
            "row_id": incoming.rows["id"],
            "source_fp": as_binary(incoming.packed),
            "target_fp": pa.nulls(count, pa.large_binary()) if found is None else as_binary(found),
            "success_count": incoming.rows["success_count"] if counted else zero,
            "failure_count": incoming.rows["failure_count"] if counted else zero,
            "adopted": pa.array(np.full(count, found is not None)),
        }
    )
    empty = connection.exec_driver_sql(
        "SELECT NOT EXISTS (SELECT FROM credstore_sync.row_state WHERE source_table = %s)", (incoming.table,)
    ).scalar_one()
    if empty:
        copy_in(connection, base, '"credstore_sync"."row_state"', base.column_names)
        return
    put_table(
        connection,
        "base",
        base,
        "source_table text, row_id text, source_fp bytea, target_fp bytea, success_count int, failure_count int, "
        "adopted boolean",
    )
    listed = ", ".join(base.column_names)
    assigned = ", ".join(f"{column} = excluded.{column}" for column in base.column_names[2:])
    connection.exec_driver_sql(
        f"INSERT INTO credstore_sync.row_state ({listed}) SELECT {listed} FROM pg_temp.base "
        f"ON CONFLICT (source_table, row_id) DO UPDATE SET {assigned}"
    )
