"""The load taken back: what the pipeline wrote and nobody changed since is removed, the rest is named."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from credstore_pipeline import __version__
from credstore_pipeline.core.cutover.record import refuse_after_cutover
from credstore_pipeline.core.data_key import unwrap_data_key
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.errors import ProofFailed, Refused
from credstore_pipeline.core.frames import TABLES
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load.ledger import open_books
from credstore_pipeline.core.load.meaning import Meaning
from credstore_pipeline.core.load.reading import put_ids, qualified, read_rows
from credstore_pipeline.core.target.bulk import copy_out
from credstore_pipeline.core.target.connect import make_engine, quoted, transaction
from credstore_pipeline.core.target.lock import take_lock
from credstore_pipeline.core.target.retry import retrying

SHOWN = 10
_BASE = pa.schema([("row_id", pa.string()), ("fp", pa.binary()), ("adopted", pa.bool_())])


@dataclass(frozen=True)
class Undone:
    """What was taken back.

    Attributes:
        removed: Rows by table.
        left: table, why, rows, ids (the first of them) of what stays.
    """

    removed: dict[str, int] = field(default_factory=dict)
    left: list[dict[str, Any]] = field(default_factory=list)


def undo_initial_load(
    deployment: Deployment, ring: KeyRing, run_id: str, confirm: str, log: Callable[[str], None]
) -> Undone:
    """Remove what the pipeline wrote and nobody changed since, in one transaction; the next load starts anew.

    Args:
        deployment: Whose target.
        ring: Opens what stands there.
        run_id: This run.
        confirm: The target's place, `host:port/database.schema`, as the operator typed it.
        log: Takes a line a table.

    Raises:
        Refused: If it is not confirmed, or nothing was loaded.
        CutOver: If the store was cut over: the target is the only one that counts then.
    """
    if confirm != deployment.target.place:
        raise Refused(
            "undo", "the run config's `confirm` is not the target", todo=f"Write confirm: {deployment.target.place}"
        )
    engine = make_engine(deployment.target, run_id).execution_options(isolation_level="READ COMMITTED")
    tried: list[Undone] = []

    def once() -> Undone:
        with transaction(engine, "undo", deployment.target.schema) as connection:
            take_lock(connection, deployment.target.schema, deployment.policies.lock_wait_s)
            refuse_after_cutover(connection)
            if tried and _is_undone_by(connection, run_id):
                log("This run's transaction had committed; only its acknowledgement was lost.")
            else:
                tried.append(_undo(connection, deployment.target.schema, ring, run_id, log))
            return tried[-1]

    return retrying(once)


def _undo(connection: Connection, schema: str, ring: KeyRing, run_id: str, log: Callable[[str], None]) -> Undone:
    books = open_books(connection, ring)
    if books.last is None or books.wrapped_data_key is None:
        raise Refused("undo", "nothing was loaded", todo="Nothing needs doing.")
    meaning = Meaning(unwrap_data_key(books.wrapped_data_key, ring).data_key, ring)
    done = Undone()
    # Associations first: nothing of ours is deleted by a cascade unseen.
    for table in reversed(TABLES):
        left, removable = _sorted_out(connection, schema, table, meaning)
        for why, ids in left.items():
            if ids:
                done.left.append({"table": table, "why": why, "rows": len(ids), "ids": ", ".join(ids[:SHOWN])})
        done.removed[table] = _remove(connection, schema, table, removable)
        log(f"{schema}.{table}: {len(removable)} rows removed, {sum(map(len, left.values()))} left.")
    connection.exec_driver_sql("UPDATE credstore_sync.runs SET kind = 'undone' WHERE kind IN ('initial', 'resync')")
    connection.exec_driver_sql(
        "INSERT INTO credstore_sync.runs (run_id, kind, pipeline_version, started_at, finished_at, counts) "
        "VALUES (%s, 'undo', %s, now(), clock_timestamp(), %s::jsonb)",
        (run_id, __version__, json.dumps({table: {"removed": count} for table, count in done.removed.items()})),
    )
    return done


def _is_undone_by(connection: Connection, run_id: str) -> bool:
    found = connection.exec_driver_sql(
        "SELECT count(*) FROM credstore_sync.runs WHERE run_id = %s AND kind = 'undo'", (run_id,)
    ).scalar_one()
    return bool(found)


def _sorted_out(
    connection: Connection, schema: str, table: str, meaning: Meaning
) -> tuple[dict[str, list[str]], list[str]]:
    """Rows that stay, by reason, and ids of those that go."""
    name = qualified(schema, table)
    base = copy_out(
        connection,
        "SELECT row_id, coalesce(target_fp, source_fp), adopted FROM credstore_sync.row_state "
        f"WHERE source_table = '{table}' AND tombstone_at IS NULL",
        _BASE,
    )
    put_ids(connection, "ours", base["row_id"])
    connection.exec_driver_sql(
        f"SELECT 1 FROM {name} t JOIN pg_temp.ours o ON o.id = t.id ORDER BY t.id FOR UPDATE OF t"
    )
    rows = read_rows(connection, schema, table, "JOIN pg_temp.ours o ON o.id = t.id ORDER BY t.id")
    now, _ = meaning.of_stored(table, rows, only_primary=False)
    there = base.take(pc.index_in(rows["id"], base["row_id"].combine_chunks()))
    adopted = np.asarray(there["adopted"].to_numpy(), dtype=bool)
    same = np.array([mine.tobytes() == before for mine, before in zip(now, there["fp"].to_pylist(), strict=True)], bool)
    ids = np.array(rows["id"].to_pylist(), dtype=object)
    used = _referred_to(connection, schema, table)
    in_use = np.array([row_id in used for row_id in ids], dtype=bool)
    going = ~adopted & same & ~in_use if len(ids) else np.zeros(0, dtype=bool)
    left = {
        "stood there before the load": list(ids[adopted]),
        "changed since": list(ids[~adopted & ~same]),
        "other rows refer to it": list(ids[~adopted & same & in_use]),
    }
    return left, list(ids[going])


def _referred_to(connection: Connection, schema: str, table: str) -> set[str]:
    """Ids that a foreign key, or an association, points to."""
    keys = connection.exec_driver_sql(
        "SELECT n.nspname, c.relname, a.attname FROM pg_constraint k "
        "JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1] "
        "WHERE k.contype = 'f' AND k.confrelid = to_regclass(%s)",
        (qualified(schema, table),),
    ).all()
    places = {(str(space), str(relation), str(column)) for space, relation, column in keys}
    if table != "credential_tags":
        places.add((schema, "credential_tags", "credential_id" if table == "credentials" else "tag_id"))
    found: set[str] = set()
    for space, relation, column in places:
        rows = connection.exec_driver_sql(f"SELECT DISTINCT {quoted(column)} FROM {qualified(space, relation)}")
        found |= {str(row[0]) for row in rows}
    return found


def _remove(connection: Connection, schema: str, table: str, ids: list[str]) -> int:
    put_ids(connection, "going", ids)
    removed = connection.exec_driver_sql(
        f"DELETE FROM {qualified(schema, table)} t USING pg_temp.going g WHERE t.id = g.id"
    ).rowcount
    if removed != len(ids):
        raise ProofFailed(
            f"{schema}.{table}",
            f"{len(ids)} rows were to be removed, {removed} were",
            state="The transaction is rolled back; the target is as it was.",
        )
    connection.exec_driver_sql(
        f"DELETE FROM credstore_sync.row_state s USING pg_temp.going g WHERE s.source_table = '{table}' "
        "AND s.row_id = g.id"
    )
    return removed
