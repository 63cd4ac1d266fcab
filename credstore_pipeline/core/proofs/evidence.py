"""Reads what the proofs speak of: the snapshot last loaded, the target's rows with a base, quarantine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from credstore_pipeline.core.cells import cells_as_secrets, cells_as_text
from credstore_pipeline.core.frames import TABLES, Frame
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load.columns import slots
from credstore_pipeline.core.load.meaning import Meaning
from credstore_pipeline.core.load.reading import put_ids, qualified, read_rows
from credstore_pipeline.core.rules.associations import association_ids
from credstore_pipeline.core.secrets.pool import Progress, SecretPool
from credstore_pipeline.core.sync.bases import read_base
from credstore_pipeline.core.target.bulk import copy_out

BASE = pa.schema(
    [
        ("row_id", pa.string()),
        ("adopted", pa.bool_()),
        ("buried", pa.bool_()),
    ]
)
"""A table's base: whether the row stood in the target before us, and whether it was seen to go from the source."""

READ_FROM_SOURCE = {
    "tags": ("id",),
    "credentials": ("id", "password"),
    "credential_tags": ("id", "credential_id", "tag_id", "priority"),
}
"""Columns of the snapshot that the proofs need."""

NEEDED = {
    "tags": (),
    "credentials": ("use_keys", "success_count", "failure_count", "created_at", "updated_at"),
    "credential_tags": ("priority", "success_count", "failure_count", "created_at", "updated_at"),
}
"""Columns whose NULL makes the application's reader fail or its selection break."""

_TARGET = {
    "tags": pa.schema([("id", pa.string())]),
    "credentials": pa.schema([("id", pa.string()), ("password", pa.string())]),
    "credential_tags": pa.schema(
        [("id", pa.string()), ("credential_id", pa.string()), ("tag_id", pa.string()), ("priority", pa.float64())]
    ),
}
_QUARANTINED = pa.schema([("source_table", pa.string()), ("source_rowid", pa.int64()), ("at_first", pa.bool_())])


@dataclass(frozen=True)
class Evidence:
    """Everything the proofs compare. Nothing in it is an opened password.

    Attributes:
        connection: The one transaction that everything is read in.
        schema: The application's schema.
        source: Rows of the snapshot, by table, with the columns of `READ_FROM_SOURCE` that it has.
        source_ids: The target id that each source row must have, by table, aligned with `source`.
        source_secrets: Fingerprints of the snapshot's passwords, null where no key opens them.
        target: Target rows that have a base, by table; `complete` says that no column of `NEEDED` is NULL.
        target_secrets: fingerprint, encoding and `readable` of the target's passwords, aligned with `target`.
        base: `BASE` by table, rows with a tombstone left out.
        buried: Ids of rows with a tombstone, by table.
        quarantined: source_table, source_rowid of open quarantine rows; `at_first`: since the initial load.
        tag_map: Source tag id -> target tag id.
        not_ours: Target rows without a base, by table.
        meaning: Fingerprints under the data key.
    """

    connection: Connection
    schema: str
    source: dict[str, pa.Table]
    source_ids: dict[str, pa.Array]
    source_secrets: pa.Array
    target: dict[str, pa.Table]
    target_secrets: pa.Table
    base: dict[str, pa.Table]
    buried: dict[str, pa.Array]
    quarantined: pa.Table
    tag_map: dict[str, str]
    not_ours: dict[str, int]
    meaning: Meaning

    def held(self, table: str, *, at_first: bool = False) -> pa.Array:
        """Row ids of a table's open quarantine rows; with `at_first`, of those from the initial load alone."""
        mask = pc.equal(self.quarantined["source_table"], table)
        if at_first:
            mask = pc.and_(mask, self.quarantined["at_first"])
        return self.quarantined["source_rowid"].filter(mask).combine_chunks()


def gather(
    connection: Connection,
    schema: str,
    source: Callable[[], dict[str, Frame]],
    ring: KeyRing,
    meaning: Meaning,
    progress: Callable[[int], Progress] | None = None,
    *,
    some: bool = False,
) -> Evidence:
    """Read both sides once; every password is opened once on each side, while the next thing is read.

    Args:
        connection: One transaction, REPEATABLE READ.
        schema: The application's schema.
        source: Gives the extracted tables of the snapshot.
        ring: Opens both sides.
        meaning: Fingerprints under the data key.
        progress: Given the rows to open, returns what is called with those opened so far, both sides together.
        some: Whether the source's rows are not all of them: of the target those with their ids are read.
    """
    if some:
        known = source()
        for table, ids in _source_ids({name: frame.rows for name, frame in known.items()}).items():
            put_ids(connection, f"among_{table}", ids.drop_null())
    with SecretPool(ring, meaning.secret_key) as pool:
        stored = _target(connection, schema, "credentials", some)
        target = {"credentials": stored}
        target_opening = pool.begin(stored["id"], stored["password"], only_primary=True)
        target |= {table: _target(connection, schema, table, some) for table in TABLES if table not in target}
        base = {table: _base(connection, table, some) for table in TABLES}
        rows = {table: frame.rows for table, frame in (known if some else source()).items()}
        first = stored.num_rows
        told = progress(first + rows["credentials"].num_rows) if progress else None
        target_secrets = _target_secrets(stored, target_opening(told), pool)
        source_opening = _begin_source(rows["credentials"], pool)
        source_ids = _source_ids(rows)
        not_ours = {table: _not_ours(connection, schema, table) for table in TABLES}
        source_secrets = source_opening(None if told is None else lambda done: told(first + done))
    return Evidence(
        connection=connection,
        schema=schema,
        source=rows,
        source_ids=source_ids,
        source_secrets=source_secrets,
        target=target,
        target_secrets=target_secrets,
        base={table: rows.filter(pc.invert(rows["buried"])) for table, rows in base.items()},
        buried={table: rows.filter(rows["buried"])["row_id"].combine_chunks() for table, rows in base.items()},
        quarantined=copy_out(
            connection,
            "SELECT source_table, source_rowid, first_run IN (SELECT run_id FROM credstore_sync.runs "
            "WHERE kind = 'initial') FROM credstore_sync.quarantine WHERE resolved_at IS NULL",
            _QUARANTINED,
        ),
        tag_map=dict(connection.exec_driver_sql("SELECT source_id, target_id FROM credstore_sync.tag_map").all()),
        not_ours=not_ours,
        meaning=meaning,
    )


def changed_since(
    evidence: Evidence, table: str, ids: list[str], columns: Sequence[str], *, or_apart: bool = False
) -> set[str]:
    """Of the given target rows, those of which one of the columns means something else than was last agreed.

    Args:
        evidence: What was read.
        table: Which table the rows are of.
        ids: Rows that differ.
        columns: Where they differ.
        or_apart: Whether rows count too of which the base itself says that both sides differ there: a conflict was
            settled in favour of the target.
    """
    if not ids:
        return set()
    put_ids(evidence.connection, "suspects", ids)
    stored = read_rows(evidence.connection, evidence.schema, table, "JOIN pg_temp.suspects i ON i.id = t.id")
    now, _ = evidence.meaning.of_stored(table, stored, only_primary=False)
    base = read_base(evidence.connection, table, stored["id"].combine_chunks(), "suspects")
    chosen = slots(table, tuple(columns))
    target, source = base.target[:, chosen], base.source[:, chosen]
    moved = (now[:, chosen] != target).any(axis=1)
    if or_apart:
        moved |= (source != target).any(axis=1)
    return {row_id for row_id, explained in zip(stored["id"].to_pylist(), moved, strict=True) if explained}


def _source_ids(rows: dict[str, pa.Table]) -> dict[str, pa.Array]:
    return {
        "tags": _ids(rows["tags"]),
        "credentials": _ids(rows["credentials"]),
        "credential_tags": association_ids(rows["credential_tags"]),
    }


def _target(connection: Connection, schema: str, table: str, some: bool) -> pa.Table:
    fields = _TARGET[table]
    complete = " AND ".join(f"t.{column} IS NOT NULL" for column in NEEDED[table]) or "true"
    return copy_out(
        connection,
        f"SELECT {', '.join(f't.{name}' for name in fields.names)}, {complete} FROM {qualified(schema, table)} t "
        f"JOIN credstore_sync.row_state s ON s.source_table = '{table}' AND s.row_id = t.id AND s.tombstone_at IS NULL"
        f"{_among(table, some)}",
        fields.append(pa.field("complete", pa.bool_())),
    )


def _base(connection: Connection, table: str, some: bool) -> pa.Table:
    return copy_out(
        connection,
        "SELECT s.row_id, s.adopted, s.tombstone_at IS NOT NULL "
        f"FROM credstore_sync.row_state s{_among(table, some)} WHERE s.source_table = '{table}'",
        BASE,
    )


def _among(table: str, some: bool) -> str:
    return f" JOIN pg_temp.among_{table} a ON a.id = s.row_id" if some else ""


def _begin_source(rows: pa.Table, pool: SecretPool) -> Callable[[Progress | None], pa.Array]:
    """Fingerprints of the snapshot's passwords."""
    if "password" not in rows.column_names:
        return lambda _: pa.nulls(rows.num_rows, pa.binary())
    # What is not UTF-8 was quarantined and has no counterpart to be compared with.
    stored = [
        None if secret is None else secret.decode("utf-8", "replace")
        for secret in cells_as_secrets(rows["password"].combine_chunks())
    ]
    ids = [row_id or "" for row_id in _ids(rows).to_pylist()]
    read = pool.begin(ids, stored, only_primary=False)
    return lambda progress: read(progress)["fingerprint"].combine_chunks()


def _target_secrets(rows: pa.Table, strict: pa.Table, pool: SecretPool) -> pa.Table:
    """What opened under the primary key, and only of what that did not open what the others open."""
    ids, stored = rows["id"].to_pylist(), rows["password"].to_pylist()
    prints, encodings = strict["fingerprint"].to_pylist(), strict["encoding"].to_pylist()
    readable = [value is not None for value in prints]
    left = [index for index, ok in enumerate(readable) if not ok]
    if left:
        loose = pool.fingerprint([ids[i] for i in left], [stored[i] for i in left], only_primary=False)
        for index, value, encoding in zip(
            left, loose["fingerprint"].to_pylist(), loose["encoding"].to_pylist(), strict=True
        ):
            prints[index], encodings[index] = value, encoding
    return pa.table(
        {
            "fingerprint": pa.array(prints, pa.binary()),
            "encoding": pa.array(encodings, pa.string()),
            "readable": pa.array(readable, pa.bool_()),
        }
    )


def _ids(rows: pa.Table) -> pa.Array:
    if "id" not in rows.column_names:
        return pa.nulls(rows.num_rows, pa.string())
    return cells_as_text(rows["id"].combine_chunks())[0]


def _not_ours(connection: Connection, schema: str, table: str) -> int:
    return int(
        connection.exec_driver_sql(
            f"SELECT count(*) FROM {qualified(schema, table)} t WHERE NOT EXISTS (SELECT FROM credstore_sync.row_state "
            f"s WHERE s.source_table = '{table}' AND s.row_id = t.id AND s.tombstone_at IS NULL)"
        ).scalar_one()
    )
