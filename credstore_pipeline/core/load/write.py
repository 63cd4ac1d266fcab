"""Writes one table's rows and their base, in sets, inside the load's transaction."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from credstore_pipeline.core.errors import CredstoreError, TargetError, TransientTargetError
from credstore_pipeline.core.load.classify import classify
from credstore_pipeline.core.load.columns import SCHEMAS
from credstore_pipeline.core.load.foreign import compare_foreign
from credstore_pipeline.core.load.meaning import Packed
from credstore_pipeline.core.load.reading import put_ids, qualified
from credstore_pipeline.core.sync.absent import note_deleted_in_target
from credstore_pipeline.core.sync.bases import put_base
from credstore_pipeline.core.sync.changed import Updated, merge_changed
from credstore_pipeline.core.sync.passage import Incoming, Passage
from credstore_pipeline.core.target.bulk import copy_in

__all__ = ["Incoming", "Written", "insert", "write_created", "write_existing"]

RUN_AGAIN = "Launch the job again: it reads the target anew."


@dataclass
class Written:
    """What the load did to one table; ids of rows it wrote are in `pg_temp.written_<table>`.

    Attributes:
        table: The table.
        whole: Whether the table was created by this load, and so holds our rows alone.
        counts: Rows by what happened to them.
        ids: Rows that were written, unless all of them were.
        packed: What each of them has to mean when it is read back.
        ours: Those of them whose password we sealed.
    """

    table: str
    whole: bool
    counts: dict[str, int] = field(default_factory=dict)
    ids: pa.Array | None = None
    packed: Packed | None = None
    ours: pa.Array | None = None


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
    put_base(connection, incoming.table, incoming.rows, incoming.packed)
    ids = incoming.rows["id"].combine_chunks()
    return Written(incoming.table, True, _counts(inserted=incoming.rows.num_rows), ids, incoming.packed)


def write_existing(work: Passage, incoming: Incoming) -> Written:
    """Insert what is new, merge what changed in the source, adopt what means the same.

    Raises:
        TransientTargetError: If the application wrote the same rows meanwhile.
        TargetError: If rows of the application differ that validation has not seen.
    """
    classes = classify(work, incoming)
    adopted = _adopt(work, incoming, classes.foreign)
    brought = note_deleted_in_target(work, incoming, classes.gone)
    new = _with_parents(work, incoming, [*classes.new, *brought.reinstated])
    changed = _with_parents(work, incoming, classes.changed)
    inserted = incoming.subset(new)
    insert(work, inserted)
    updated = merge_changed(work, incoming, changed)
    if incoming.table == "credentials":
        work.revived.update(new)
    put_ids(work.connection, f"written_{incoming.table}", _joined(inserted, updated))
    parentless = len(classes.new) + len(brought.reinstated) + len(classes.changed) - len(new) - len(changed)
    counts = _counts(
        inserted=len(new),
        updated=len(updated.ids),
        adopted=adopted,
        kept=updated.kept,
        gone=brought.left + parentless,
        resets=updated.resets,
    )
    ours = pa.concat_arrays([inserted.rows["id"].combine_chunks(), updated.ids.filter(pa.array(updated.sealed))])
    packed = np.concatenate([inserted.packed, updated.packed])
    return Written(incoming.table, False, counts, _joined(inserted, updated), packed, ours)


def _joined(inserted: Incoming, updated: Updated) -> pa.Array:
    return pa.concat_arrays([inserted.rows["id"].combine_chunks(), updated.ids])


def _counts(
    *, inserted: int = 0, updated: int = 0, adopted: int = 0, kept: int = 0, gone: int = 0, resets: int = 0
) -> dict[str, int]:
    return {
        "inserted": inserted,
        "updated": updated,
        "adopted": adopted,
        "kept": kept,
        "gone": gone,
        "deleted": 0,
        "counter_resets": resets,
    }


def insert(work: Passage, incoming: Incoming) -> None:
    """Insert rows that are not there, with their base.

    Raises:
        TransientTargetError: If one of them, or one of its name, is there after all.
    """
    if not incoming.rows.num_rows:
        return
    columns = SCHEMAS[incoming.table].names
    name = f"new_{incoming.table}"
    _put_rows(work.connection, work.schema, name, incoming)
    listed = ", ".join(columns)
    written = work.connection.exec_driver_sql(
        f"INSERT INTO {qualified(work.schema, incoming.table)} ({listed}) SELECT {listed} FROM pg_temp.{name} "
        "ON CONFLICT DO NOTHING"
    ).rowcount
    if written != incoming.rows.num_rows:
        raise TransientTargetError(
            f"{work.schema}.{incoming.table}",
            f"{incoming.rows.num_rows - written} rows with the same id or name appeared meanwhile",
            todo=RUN_AGAIN,
        )
    put_base(work.connection, incoming.table, incoming.rows, incoming.packed)


def _adopt(work: Passage, incoming: Incoming, ids: list[str]) -> int:
    foreign = compare_foreign(work.connection, work.schema, incoming.table, incoming.rows, work.meaning, ids)
    if foreign.differing:
        raise TargetError(
            f"{work.schema}.{incoming.table}",
            f"{len(foreign.differing)} rows of the application with a source row's id appeared or changed meanwhile",
            todo=RUN_AGAIN,
        )
    adopted = incoming.subset(foreign.ids)
    put_base(work.connection, incoming.table, adopted.rows, adopted.packed, target=foreign.fingerprints, adopted=True)
    return len(foreign.ids)


def _with_parents(work: Passage, incoming: Incoming, ids: list[str]) -> list[str]:
    """Associations whose credential or tag the application deleted stay out, as their parent does.

    The parents of the others are held until the load is done, so that they cannot go meanwhile.
    """
    if incoming.table != "credential_tags" or not ids:
        return ids
    rows = incoming.subset(ids).rows
    there = pa.array([True] * rows.num_rows)
    # In the order in which the application locks them: a credential before its associations.
    for column, parent in (("tag_id", "tags"), ("credential_id", "credentials")):
        wanted = pc.unique(rows[column])
        put_ids(work.connection, "parents", wanted)
        known = work.connection.exec_driver_sql(
            f"SELECT p.id FROM {qualified(work.schema, parent)} p JOIN pg_temp.parents w ON w.id = p.id "
            "ORDER BY p.id FOR KEY SHARE OF p"
        ).scalars()
        there = pc.and_(there, pc.is_in(rows[column].combine_chunks(), pa.array(list(known), pa.string())))
    return list(rows["id"].filter(there).to_pylist())


def _put_rows(connection: Connection, schema: str, name: str, incoming: Incoming) -> None:
    columns = SCHEMAS[incoming.table].names
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE {name} ON COMMIT DROP AS SELECT {', '.join(columns)} "
        f"FROM {qualified(schema, incoming.table)} WITH NO DATA"
    )
    copy_in(connection, incoming.rows.select(columns), f"pg_temp.{name}", columns)
