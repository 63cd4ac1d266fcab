"""The new SQLite file: the tables of the old one, with the target's rows and the quarantined ones in them."""

import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from credstore_pipeline.core.cells import InvalidText, cells_as_text
from credstore_pipeline.core.cutover.triggers import drop_triggers
from credstore_pipeline.core.errors import ProofFailed
from credstore_pipeline.core.frames import TABLES
from credstore_pipeline.core.rollback.cells import AS_TEXT, bound, sqlite_values
from credstore_pipeline.core.rollback.orm import STATEMENTS
from credstore_pipeline.core.rules.associations import association_ids
from credstore_pipeline.core.source.connect import file_uri
from credstore_pipeline.core.source.extract import extract
from credstore_pipeline.core.source.inspect import SourceShape, TableShape, inspect
from credstore_pipeline.core.source.sqlite import error_name, sqlite_errors
from credstore_pipeline.core.unproven import file_errors

Pair = tuple[str, str]
_REMOVED = "The new file is removed; both stores are as they were."


@dataclass
class Old:
    """What the old store had.

    Attributes:
        rowids: Table -> id (of an association without one, its pair) -> row id.
        links: Association id -> `tag_id`.
        tags: Ids of its tags.
    """

    rowids: dict[str, dict[Any, int]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)


@dataclass
class Filled:
    """What the new file took.

    Attributes:
        shape: Its tables.
        rows: Rows written, by table, quarantined ones included.
        doubled: Ids of associations that its key holds once only.
        quarantined: Quarantined rows written as they were, by table.
        displaced: Ids of quarantined rows whose id a row of the target has.
    """

    shape: SourceShape
    rows: dict[str, int] = field(default_factory=dict)
    doubled: list[str] = field(default_factory=list)
    quarantined: dict[str, int] = field(default_factory=dict)
    displaced: list[str] = field(default_factory=list)


def read_old(snapshot: Path, shape: SourceShape) -> Old:
    """Read what the old store had, from its snapshot."""
    old = Old()
    with sqlite_errors("snapshot"), closing(sqlite3.connect(file_uri(snapshot), uri=True)) as connection:
        connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        for table in shape.tables.values():
            key = "id" if "id" in table.columns else "credential_id, tag_id"
            if not table.key:
                found = connection.execute(f"SELECT rowid, {key} FROM {table.name} ORDER BY rowid DESC")
                old.rowids[table.name] = {tuple(rest) if len(rest) > 1 else rest[0]: row for row, *rest in found}
            if table.name == "tags":
                old.tags = {row[0] for row in connection.execute("SELECT id FROM tags")}
    if "credential_tags" in shape.tables:
        links = extract(snapshot, "credential_tags", shape).rows
        # By the ids that the load gave them, where the file gives none.
        ids, tags = association_ids(links).to_pylist(), cells_as_text(links["tag_id"])[0].to_pylist()
        old.links = {row_id: tag for row_id, tag in zip(ids, tags, strict=True) if row_id and tag}
    return old


@contextmanager
def new_file(path: Path, snapshot: Path | None) -> Iterator[sqlite3.Connection]:
    """Make the file with mode 0600, empty of the store's rows; committed at the end, removed if the block raises.

    Args:
        path: Where; nothing is there.
        snapshot: Whose tables, all of them, it gets; without one, those of the store's own models.
    """
    try:
        with file_errors(path.parent, "rollback", _REMOVED):
            path.touch(mode=0o600, exist_ok=False)
            if snapshot is not None:
                shutil.copyfile(snapshot, path)
        with _writing(), closing(sqlite3.connect(file_uri(path, "rw"), uri=True, isolation_level=None)) as connection:
            # What is deleted is overwritten with zeros, and no journal keeps it: old rows may hold plaintext passwords.
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA journal_mode = MEMORY")
            connection.execute("BEGIN IMMEDIATE")
            if snapshot is None:
                for statement in STATEMENTS:
                    connection.execute(statement)
            drop_triggers(connection)
            yield connection
            connection.execute("COMMIT")
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def fill(
    connection: sqlite3.Connection,
    rows: dict[str, pa.Table],
    quarantined: dict[str, list[tuple[int, str | None, dict[str, Any]]]],
    old: Old,
) -> Filled:
    """Write the rows, each under the row id that it had, new ones after them.

    Args:
        connection: On the new file, in its transaction.
        rows: Table -> the target's rows, passwords as the old application reads them.
        quarantined: Table -> row id, id and values of each row in quarantine.
        old: What the old store had.
    """
    shape = inspect(connection)
    filled = Filled(shape)
    for name in TABLES:
        table = shape.tables.get(name)
        if table is None:
            continue
        connection.execute(f"DELETE FROM {name}")
        mine = _once_a_pair(rows[name], filled) if table.key or _pair_is_key(connection, table) else rows[name]
        filled.rows[name] = _insert(connection, shape, table, mine, old.rowids.get(name, {}))
        held = _insert_held(connection, table, quarantined.get(name, []), set(mine["id"].to_pylist()), filled)
        filled.quarantined[name] = held
        filled.rows[name] += held
    return filled


def _insert(
    connection: sqlite3.Connection, shape: SourceShape, table: TableShape, rows: pa.Table, rowids: dict[Any, int]
) -> int:
    whole_seconds = shape.flavour == "setup-script"
    columns = {name: sqlite_values(rows[name], whole_seconds=whole_seconds) for name in table.columns}
    for name in required_columns(connection, table.name) & columns.keys():
        columns[name] = [_stand_in(rows[name].type) if value is None else value for value in columns[name]]
    keys: list[Any]
    if "id" in table.columns:
        keys = rows["id"].to_pylist()
    else:
        keys = list(zip(rows["credential_id"].to_pylist(), rows["tag_id"].to_pylist(), strict=True))
    born = rows["created_at"].to_pylist() if "created_at" in rows.column_names else [None] * len(keys)
    order = sorted(range(len(keys)), key=lambda at: (rowids.get(keys[at], 1 << 62), str(born[at] or ""), str(keys[at])))
    tuples = list(zip(*columns.values(), strict=True))
    numbered = not table.key
    names = [*(["rowid"] if numbered else []), *columns]
    sql = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    last = max(rowids.values(), default=0)

    def prepared() -> Iterable[tuple[Any, ...]]:
        free = last
        for at in order:
            if not numbered:
                yield tuples[at]
                continue
            rowid = rowids.get(keys[at])
            if rowid is None:
                free += 1
                rowid = free
            yield (rowid, *tuples[at])

    connection.executemany(sql, prepared())
    return len(tuples)


def _insert_held(
    connection: sqlite3.Connection,
    table: TableShape,
    held: list[tuple[int, str | None, dict[str, Any]]],
    taken: set[str],
    filled: Filled,
) -> int:
    """Quarantined rows as they were, where no row of the target has their id."""
    written = 0
    for rowid, row_id, values in held:
        if row_id is not None and row_id in taken:
            filled.displaced.append(f"{table.name} {row_id}")
            continue
        kept = {name: value for name, value in values.items() if name in table.columns}
        places = [AS_TEXT if isinstance(value, InvalidText) else "?" for value in kept.values()]
        names, given = [*kept], [bound(value) for value in kept.values()]
        if not table.key:
            names, places, given = ["rowid", *names], ["?", *places], [rowid, *given]
        try:
            connection.execute(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join(places)})", given)
        except sqlite3.IntegrityError:
            # A key or a constraint that the old file's row did not meet beside the target's rows.
            filled.displaced.append(f"{table.name} {row_id or f'row {rowid}'}")
            continue
        written += 1
    return written


def _once_a_pair(rows: pa.Table, filled: Filled) -> pa.Table:
    """The first association of each pair, which is all that a key over the pair holds."""
    if "credential_id" not in rows.column_names:
        return rows
    seen: set[Pair] = set()
    first = []
    for row_id, *pair in zip(
        rows["id"].to_pylist(), rows["credential_id"].to_pylist(), rows["tag_id"].to_pylist(), strict=True
    ):
        new = tuple(pair) not in seen
        seen.add((pair[0], pair[1]))
        first.append(new)
        if not new:
            filled.doubled.append(row_id)
    return rows.filter(pa.array(first, pa.bool_()))


def _pair_is_key(connection: sqlite3.Connection, table: TableShape) -> bool:
    keys = {row[1].lower() for row in connection.execute(f"PRAGMA table_info({table.name})") if row[5]}
    return keys == {"credential_id", "tag_id"}


def required_columns(connection: sqlite3.Connection, table: str) -> set[str]:
    """Columns that take no NULL."""
    return {row[1].lower() for row in connection.execute(f"PRAGMA table_info({table})") if row[3]}


def _stand_in(kind: pa.DataType) -> object:
    if pa.types.is_string(kind):
        return ""
    return "1970-01-01 00:00:00" if pa.types.is_timestamp(kind) else 0


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        # The name alone: SQLite's message may quote a value.
        raise ProofFailed(
            "rollback",
            f"the new file does not take a row ({error_name(error)})",
            state=_REMOVED,
            todo="Try `flavour: orm`, whose tables take what the target holds.",
        ) from None
