"""What a file's tables are, by name: the application's shapes are known, any other is refused."""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from credstore_pipeline.core.errors import ShapeRefused
from credstore_pipeline.core.source.flavour import flavour_of
from credstore_pipeline.core.source.sqlite import ascii_fold, readable_names, sqlite_errors

_COUNTERS = ("success_count", "failure_count")
_MOMENTS = ("last_used", "last_success", "last_failure", "created_at", "updated_at")
KNOWN_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "tags": ("id", "name", "description", "color", "created_at", "updated_at"),
    "credentials": (
        *("id", "name", "description", "username", "password", "use_keys", "key_file"),
        *(*_COUNTERS, *_MOMENTS),
    ),
    "credential_tags": ("id", "credential_id", "tag_id", "priority", *_COUNTERS, *_MOMENTS),
}
"""Table -> every column that any version of the application gave it (docs/legacy-formats.md, "Tables")."""

REQUIRED_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "tags": ("id", "name"),
    "credentials": ("id", "name", "username", "password"),
    "credential_tags": ("credential_id", "tag_id"),
}
_IDS = ("id", "credential_id", "tag_id")
_NEWEST_TABLE = "credential_tag_association"
_NEWEST_COLUMNS = frozenset({"priority", "success_rate", "is_system"})
_SHOWN = 20


@dataclass(frozen=True)
class TableShape:
    """One table of the store.

    Attributes:
        name: As the application writes it; SQLite ignores the case of ASCII letters.
        columns: The known columns that it has, in the order of `KNOWN_COLUMNS`.
        absent: The known columns that it has not.
        key: Key columns of a WITHOUT ROWID table, which has no row ids; empty otherwise.
    """

    name: str
    columns: tuple[str, ...]
    absent: tuple[str, ...]
    key: tuple[str, ...] = ()


@dataclass(frozen=True)
class SourceShape:
    """What the file holds.

    Attributes:
        flavour: One of `flavour.FLAVOURS`.
        tables: Those of the store's three tables that exist, by name.
        other_tables: Tables that are no part of the store; they are left where they are.
    """

    flavour: str
    tables: dict[str, TableShape]
    other_tables: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """The store's tables that the file has not."""
        return tuple(name for name in KNOWN_COLUMNS if name not in self.tables)

    def as_json(self) -> dict[str, Any]:
        """Give what `from_json` takes."""
        tables = [[t.name, list(t.columns), list(t.absent), list(t.key)] for t in self.tables.values()]
        return {"flavour": self.flavour, "tables": tables, "other_tables": list(self.other_tables)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "SourceShape":
        """Build the shape that `as_json` gave."""
        tables = [TableShape(name, tuple(has), tuple(lacks), tuple(key)) for name, has, lacks, key in data["tables"]]
        return cls(data["flavour"], {table.name: table for table in tables}, tuple(data["other_tables"]))


def inspect(connection: sqlite3.Connection) -> SourceShape:
    """Know the file's shape, or refuse it with what was found.

    A file without `credentials` beside others of the store's tables is a store with nothing in it
    (flavour `empty`): the setup script leaves such files.

    Raises:
        ShapeRefused: If none of the store's tables is there, a table has the newest application's shape, lacks a
            column that every row needs, has one that no version knows (it would be lost), is a view, or the
            file's text is not UTF-8.
        SourceError: If SQLite cannot read the file.
    """
    with sqlite_errors("source"), readable_names(connection):
        encoding = connection.execute("PRAGMA encoding").fetchone()[0]
        if encoding != "UTF-8":
            raise _refused([f"the file's text encoding is {encoding}, and the application writes UTF-8"])
        objects = connection.execute(
            "SELECT type, name, rootpage FROM sqlite_master WHERE type IN ('table', 'view')"
            " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
        ).fetchall()
        ours = {ascii_fold(name): (kind, rootpage) for kind, name, rootpage in objects}
        found = [name for name in KNOWN_COLUMNS if name in ours]
        others = tuple(name for _, name, _ in objects if ascii_fold(name) not in KNOWN_COLUMNS)
        if not found and _NEWEST_TABLE not in ours:
            raise ShapeRefused(
                "source",
                f"no credential store here: none of {', '.join(KNOWN_COLUMNS)}; tables found: {_some(others)}.",
                todo="Check CREDSTORE_SQLITE_PATH: the store is the file that the application's db_url names.",
            )
        columns = {name: _columns(connection, name) for name in found}
        differences = [] if _NEWEST_TABLE not in ours else [f"there is a table {_NEWEST_TABLE}"]
        for name in found:
            differences += _differences(name, *ours[name], columns[name])
        if differences:
            raise _refused(differences, newest=_is_newest(ours, columns))
        tables = {name: _table_shape(connection, name, columns[name]) for name in found}
        return SourceShape(flavour_of(connection, {n: t.columns for n, t in tables.items()}), tables, others)


def _columns(connection: sqlite3.Connection, table: str) -> dict[str, tuple[str, int]]:
    """Column (folded) -> its declared type in upper case and its place in the primary key (0: none)."""
    rows = connection.execute(f"PRAGMA table_xinfo({table})")
    return {ascii_fold(name): (declared.upper(), place) for _, name, declared, _, _, place, _ in rows}


def _differences(table: str, kind: str, rootpage: int, columns: dict[str, tuple[str, int]]) -> Iterable[str]:
    if kind == "view" or not rootpage:
        yield f"{table} is a {'view' if kind == 'view' else 'virtual table'}"
        return
    if unknown := [name for name in columns if name not in KNOWN_COLUMNS[table]]:
        yield f"{table} has unknown columns ({_some(unknown)})"
    if lacking := [name for name in REQUIRED_COLUMNS[table] if name not in columns]:
        yield f"{table} lacks {', '.join(lacking)}"
    for name in _IDS:
        # SQLite gives a column integer affinity when its declared type holds "INT".
        if name in columns and "INT" in columns[name][0]:
            yield f"{table}.{name} is {columns[name][0]}, and the application's ids are text"


def _is_newest(ours: Mapping[str, object], columns: Mapping[str, Mapping[str, object]]) -> bool:
    return _NEWEST_TABLE in ours or bool(_NEWEST_COLUMNS & set(columns.get("credentials", ())))


def _table_shape(connection: sqlite3.Connection, table: str, columns: dict[str, tuple[str, int]]) -> TableShape:
    has = tuple(name for name in KNOWN_COLUMNS[table] if name in columns)
    lacks = tuple(name for name in KNOWN_COLUMNS[table] if name not in columns)
    try:
        connection.execute(f"SELECT rowid FROM {table} LIMIT 0")
    except sqlite3.OperationalError:  # WITHOUT ROWID
        key = sorted((place, name) for name, (_, place) in columns.items() if place)
        return TableShape(table, has, lacks, tuple(name for _, name in key))
    return TableShape(table, has, lacks)


def _refused(differences: list[str], *, newest: bool = False) -> ShapeRefused:
    what = "the newest application's schema" if newest else "no schema that this pipeline knows"
    todo = (
        "This pipeline moves stores of the application up to its text-id schema; the newest one needs no move."
        if newest
        else "Nothing is guessed: move what is named out of these tables, or back to the application's columns."
    )
    return ShapeRefused("source", f"this is {what}: {'; '.join(differences)}.", todo=todo)


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) or "none") + more
