"""One writer process of the window: `python -m … .writer SIDE PLACE JOURNAL SECONDS KEY PAUSE_S`.

SIDE is `source` (a SQLite file, as the old containers write) or `target` (a URL, as the new ones do). Every write that
was committed is one line of the journal, so that what must be there in the end can be computed from both journals.
Each side edits columns of its own, so that no conflict needs a person; counters grow on both. It ends when its time
is over, when the file JOURNAL.stop is there, or when a write is refused because the store was cut over.
"""

import json
import random
import sqlite3
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from credstore_pipeline.core.cutover.triggers import MESSAGE
from credstore_pipeline_tests.pipeline.flow import sealed

COLUMNS = {"source": ("username", "password"), "target": ("description", "key_file")}


def main(side: str, place: str, journal: str, seconds: float, key: str, pause_s: float) -> None:
    """Write until the time is over; seeded by the side, so that a run can be told again."""
    chance = random.Random(side)
    ends = time.monotonic() + seconds
    write = _sqlite if side == "source" else _postgresql(place)
    number = 0
    with Path(journal).open("a", buffering=1) as lines:
        while time.monotonic() < ends and not Path(f"{journal}.stop").exists():
            number += 1
            action, row, values = _action(chance, side, f"{Path(journal).stem}-{number}", key)
            try:
                done = write(place, action, row, values)
            except sqlite3.IntegrityError as refused:
                if str(refused) != MESSAGE:
                    raise
                lines.write(json.dumps(["refused", MESSAGE, {}]) + "\n")
                return
            if done:
                lines.write(json.dumps([action, done, values]) + "\n")
            time.sleep(pause_s)


def _action(chance: random.Random, side: str, number: str, key: str) -> tuple[str, int, dict[str, Any]]:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    row = chance.randrange(1_000_000)
    # More is added than deleted: a store most of which is gone between two passes is taken for another one.
    kind = chance.choice(["log in"] * 6 + ["edit"] * 4 + ["add"] * 2 + ["delete"])
    if kind == "log in":
        return kind, row, {"last_used": now, "updated_at": now}
    if kind == "edit":
        column = chance.choice(COLUMNS[side])
        value = f"{side} {column} {number}"
        return kind, row, {column: sealed(value, key) if column == "password" else value, "updated_at": now}
    if kind == "add":
        values = {"id": number, "name": "added", "username": "u", "password": sealed(f"p{number}", key)}
        return kind, row, {**values, "success_count": 0, "failure_count": 0, "created_at": now, "updated_at": now}
    return kind, row, {}


def _sqlite(place: str, action: str, row: int, values: dict[str, Any]) -> str | None:
    # The store's own rows are never deleted: what one side deletes the other must not edit, or a person has to decide.
    with closing(sqlite3.connect(place, timeout=600)) as store, store:
        if action == "add":
            names = ", ".join(values)
            store.execute(
                f"INSERT INTO credentials ({names}, use_keys) VALUES ({', '.join('?' * len(values))}, 0)",
                tuple(values.values()),
            )
            return str(values["id"])
        among = "WHERE id LIKE 'source-%'" if action == "delete" else ""
        ids = [found[0] for found in store.execute(f"SELECT id FROM credentials {among} ORDER BY id")]
        if not ids:
            return None
        chosen = ids[row % len(ids)]
        _run(store.execute, "?", action, chosen, values)
        return str(chosen)


def _postgresql(place: str) -> Any:
    engine = sa.create_engine(place, pool_size=1)

    def write(_: str, action: str, row: int, values: dict[str, Any]) -> str | None:
        try:
            with engine.begin() as connection:
                if action == "add":
                    names = ", ".join(values)
                    connection.exec_driver_sql(
                        f"INSERT INTO public.credentials ({names}, use_keys) "
                        f"VALUES ({', '.join(['%s'] * len(values))}, false)",
                        tuple(values.values()),
                    )
                    return str(values["id"])
                among = {"delete": "WHERE id LIKE 'target-%%'", "edit": "WHERE id NOT LIKE 'source-%%'"}.get(action, "")
                ids = connection.exec_driver_sql(f"SELECT id FROM public.credentials {among} ORDER BY id").scalars()
                known = list(ids)
                if not known:
                    return None
                chosen = known[row % len(known)]
                found = _run(connection.exec_driver_sql, "%s", action, chosen, values)
                return str(chosen) if found.rowcount else None
        except sa.exc.OperationalError:
            return None  # a deadlock with the load: the application tries again, which is the next write

    return write


def _run(execute: Any, mark: str, action: str, row_id: str, values: dict[str, Any]) -> Any:
    if action == "delete":
        return execute(f"DELETE FROM {_TABLE[mark]} WHERE id = {mark}", (row_id,))
    counted = "success_count = success_count + 1, " if action == "log in" else ""
    assigned = ", ".join(f"{name} = {mark}" for name in values)
    return execute(f"UPDATE {_TABLE[mark]} SET {counted}{assigned} WHERE id = {mark}", (*values.values(), row_id))


_TABLE = {"?": "credentials", "%s": "public.credentials"}

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), sys.argv[5], float(sys.argv[6]))
