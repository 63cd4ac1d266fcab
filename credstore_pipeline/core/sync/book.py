"""The conflicts of a pass, and `credstore_sync.conflicts` where they are kept, values sealed."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from cryptography.fernet import Fernet
from sqlalchemy import Connection

from credstore_pipeline.core.data_key import Purpose, subkey
from credstore_pipeline.core.load.reading import put_table

WAITING = "waiting"
WHOLE_ROW = "*"

_COLUMNS = (
    "source_table text, row_id text, column_name text, kind text, policy text, outcome text, source_fp bytea, "
    "target_fp bytea, sealed_source text, sealed_target text"
)
_NAMES = [column.split()[0] for column in _COLUMNS.split(", ")]

Key = tuple[str, str, str]


@dataclass(frozen=True)
class Conflict:
    """What one pass found of one column, or of one row (`*`).

    Attributes:
        table: The table.
        row_id: The row.
        column: The column, or `*` where one side deleted the row.
        kind: `changed`, `deleted_in_source`, `deleted_in_target` or `followed`.
        policy: Which one decided.
        outcome: `waiting`, `source` or `target`: whose value stands.
        source_fp: What the source means by it.
        target_fp: What the target means by it.
        source: The source's value, or row; opened passwords never.
        target: The target's.
    """

    table: str
    row_id: str
    column: str
    kind: str
    policy: str
    outcome: str
    source_fp: bytes | None
    target_fp: bytes | None
    source: Any = field(repr=False, default=None)
    target: Any = field(repr=False, default=None)

    @property
    def key(self) -> Key:
        """What it is about."""
        return (self.table, self.row_id, self.column)


class ValueSealer:
    """Seals values of conflicts under a subkey of the data key of its own."""

    def __init__(self, data_key: bytes) -> None:
        """Derive the subkey."""
        self._fernet = Fernet(base64.urlsafe_b64encode(subkey(data_key, Purpose.CONFLICT)))

    def seal(self, value: Any) -> str:
        """The value as JSON, sealed; times as ISO 8601."""
        return self._fernet.encrypt(json.dumps(value, default=lambda moment: moment.isoformat()).encode()).decode()

    def open(self, sealed: str) -> Any:
        """The value as JSON has it; raises `cryptography.fernet.InvalidToken` if altered."""
        return json.loads(self._fernet.decrypt(sealed))


@dataclass
class ConflictBook:
    """What is found goes in, and is compared with what waits already when it is written."""

    data_key: bytes = field(repr=False)
    run_id: str
    found: list[Conflict] = field(default_factory=list)

    def write(self, connection: Connection, still: Callable[[Key], bool]) -> dict[str, int]:
        """Keep what is new, close what a pass no longer finds; the same conflict found again is not touched.

        Args:
            connection: The load's transaction.
            still: Whether the pass had no word on this one, so that it goes on waiting.
        """
        waiting = waiting_now(connection)
        found = {conflict.key: conflict for conflict in self.found if conflict.kind != "followed"}
        same = {key for key, conflict in found.items() if _unchanged(conflict, waiting.get(key))}
        closed = {
            key: "superseded" if key in found else "vanished"
            for key in waiting
            if key not in same and (key in found or not still(key))
        }
        if closed:
            rows = [(waiting[key][0], outcome) for key, outcome in closed.items()]
            put_table(
                connection,
                "closed",
                pa.table({"id": pa.array([r[0] for r in rows], pa.int64()), "outcome": [r[1] for r in rows]}),
                "id bigint, outcome text",
            )
            connection.exec_driver_sql(
                "UPDATE credstore_sync.conflicts c SET outcome = w.outcome, settled_by = %s, "
                "settled_at = clock_timestamp() FROM pg_temp.closed w WHERE c.conflict_id = w.id",
                (self.run_id,),
            )
        new = [conflict for conflict in self.found if conflict.key not in same]
        self._insert(connection, new)
        return {
            "conflicts_found": len(new),
            "conflicts_waiting": sum(1 for key in waiting if key not in closed) + _count(new, WAITING),
            "conflicts_closed": len(closed),
        }

    def _insert(self, connection: Connection, new: list[Conflict]) -> None:
        if not new:
            return
        sealer = ValueSealer(self.data_key)

        def sealed(value: Any) -> str | None:
            return None if value is None else sealer.seal(value)

        columns: Mapping[str, list[Any]] = {
            "source_table": [one.table for one in new],
            "row_id": [one.row_id for one in new],
            "column_name": [one.column for one in new],
            "kind": [one.kind for one in new],
            "policy": [one.policy for one in new],
            "outcome": [one.outcome for one in new],
            "source_fp": [one.source_fp for one in new],
            "target_fp": [one.target_fp for one in new],
            "sealed_source": [sealed(one.source) for one in new],
            "sealed_target": [sealed(one.target) for one in new],
        }
        kinds = {"source_fp": pa.binary(), "target_fp": pa.binary()}
        rows = pa.table({name: pa.array(columns[name], kinds.get(name, pa.string())) for name in _NAMES})
        put_table(connection, "found_conflicts", rows, _COLUMNS)
        listed = ", ".join(_NAMES)
        connection.exec_driver_sql(
            f"INSERT INTO credstore_sync.conflicts ({listed}, first_run, seen_at, settled_by, settled_at) "
            f"SELECT {listed}, %s, clock_timestamp(), CASE WHEN outcome <> 'waiting' THEN %s END, "
            "CASE WHEN outcome <> 'waiting' THEN clock_timestamp() END FROM pg_temp.found_conflicts",
            (self.run_id, self.run_id),
        )


def waiting_now(connection: Connection) -> dict[Key, tuple[int, bytes | None, bytes | None]]:
    """Conflicts that wait: what they are about -> id and both fingerprints."""
    rows = connection.exec_driver_sql(
        "SELECT source_table, row_id, column_name, conflict_id, source_fp, target_fp FROM credstore_sync.conflicts "
        f"WHERE outcome = '{WAITING}'"
    )
    return {(row[0], row[1], row[2]): (row[3], _bytes(row[4]), _bytes(row[5])) for row in rows}


def _unchanged(conflict: Conflict, kept: tuple[int, bytes | None, bytes | None] | None) -> bool:
    return (
        kept is not None
        and conflict.outcome == WAITING
        and (conflict.source_fp, conflict.target_fp) == (kept[1], kept[2])
    )


def _count(conflicts: list[Conflict], outcome: str) -> int:
    return sum(one.outcome == outcome for one in conflicts)


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)
