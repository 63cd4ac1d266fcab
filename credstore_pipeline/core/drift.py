"""What the legacy file holds that the snapshot last loaded does not: rows behind, or late writes."""

import hashlib
import marshal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from credstore_pipeline.core.data_key import TargetPurpose, target_subkey
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load.columns import IDENTITY
from credstore_pipeline.core.source.connect import file_uri, open_source
from credstore_pipeline.core.source.digest import content_digest
from credstore_pipeline.core.source.inspect import KNOWN_COLUMNS, SourceShape, inspect
from credstore_pipeline.core.source.rows import chunks
from credstore_pipeline.core.source.snapshot import prove_snapshot, snapshot_path
from credstore_pipeline.core.source.sqlite import sqlite_errors


@dataclass(frozen=True)
class Drift:
    """Ids of rows that differ between file and snapshot, by table; of an association without an id, its pair.

    Attributes:
        added: In the file alone.
        changed: In both, with another content.
        removed: In the snapshot alone.
    """

    added: dict[str, list[str]]
    changed: dict[str, list[str]]
    removed: dict[str, list[str]]

    @property
    def rows(self) -> int:
        """Rows that differ."""
        return sum(len(ids) for kind in (self.added, self.changed, self.removed) for ids in kind.values())

    def told(self, shown: int = 10) -> str:
        """Say which, as ids."""
        lines = []
        for what, kind in (("added", self.added), ("changed", self.changed), ("deleted", self.removed)):
            for table, ids in kind.items():
                if ids:
                    more = f" and {len(ids) - shown} more" if len(ids) > shown else ""
                    lines.append(f"{len(ids)} {table} {what} (id {', '.join(ids[:shown])}{more})")
        return "; ".join(lines) or "no row differs"


def find_drift(deployment: Deployment, ring: KeyRing, snapshot_name: str, place: Path | None = None) -> Drift:
    """Compare the legacy file as it is now with a snapshot, row by row, opening no password.

    Args:
        deployment: Where both are.
        ring: Proves the snapshot.
        snapshot_name: Which snapshot.
        place: The file, if it has another name by now.

    Raises:
        CouldNotCheck: If the snapshot is missing.
        SourceError: If the file cannot be read.
    """
    backup_dir = deployment.places.backup_dir
    snapshot = prove_snapshot(
        snapshot_path(backup_dir, snapshot_name), target_subkey(ring, TargetPurpose.SOURCE_DIGEST)
    )
    with closing(sqlite3.connect(file_uri(snapshot.path), uri=True, isolation_level=None)) as copy:
        before = _contents(copy, snapshot.shape)
    with open_source(place or deployment.source.sqlite_path, copies=backup_dir) as source:
        now = _contents(source.connection, inspect(source.connection))
    drift = Drift({}, {}, {})
    for table in KNOWN_COLUMNS:
        old, new = before.get(table, {}), now.get(table, {})
        drift.added[table] = sorted(new.keys() - old.keys())
        drift.removed[table] = sorted(old.keys() - new.keys())
        drift.changed[table] = sorted(key for key in new.keys() & old.keys() if new[key] != old[key])
    return drift


def digest_apart_from_statistics(deployment: Deployment, ring: KeyRing) -> str:
    """Digest identity and secret columns of the store under a key; nothing is opened.

    Raises:
        SourceError: If the store cannot be read.
        ShapeRefused: If it is no credential store.
    """
    key = target_subkey(ring, TargetPurpose.SOURCE_DIGEST)
    with open_source(deployment.source.sqlite_path, copies=deployment.places.backup_dir) as source:
        shape = inspect(source.connection)
        tables = {
            name: replace(table, columns=tuple(c for c in table.columns if c == "id" or c in IDENTITY[name]))
            for name, table in shape.tables.items()
        }
        return content_digest(source.connection, replace(shape, tables=tables), key).value


def digest_of_all(deployment: Deployment, ring: KeyRing, place: Path) -> str:
    """Digest the whole content of a store under a key."""
    key = target_subkey(ring, TargetPurpose.SOURCE_DIGEST)
    with open_source(place, copies=deployment.places.backup_dir) as source:
        return content_digest(source.connection, inspect(source.connection), key).value


def _contents(connection: sqlite3.Connection, shape: SourceShape) -> dict[str, dict[str, int]]:
    """Table -> row id -> a number that another content has not; rows of one id are added up."""
    found: dict[str, dict[str, int]] = {}
    for name, table in shape.tables.items():
        named = [table.columns.index("id")] if "id" in table.columns else _pair(table.columns)
        contents: dict[str, int] = {}
        with sqlite_errors(f"source table {name}"):
            for row in _rows(connection, shape, name):
                key = "/".join(_shown(row[position]) for position in named)
                digest = hashlib.blake2b(marshal.dumps(list(row), 0), digest_size=8).digest()
                contents[key] = (contents.get(key, 0) + int.from_bytes(digest)) % (1 << 64)
        found[name] = contents
    return found


def _rows(connection: sqlite3.Connection, shape: SourceShape, name: str) -> Iterator[tuple[Any, ...]]:
    for chunk in chunks(connection, shape.tables[name], numbered=False, escaped=True):
        yield from chunk


def _pair(columns: tuple[str, ...]) -> list[int]:
    return [columns.index("credential_id"), columns.index("tag_id")]


def _shown(value: object) -> str:
    return "NULL" if value is None else str(value).encode("utf-8", "backslashreplace").decode()
