"""A real SQLite store and a real PostgreSQL, written to as the application writes, and read back as rows."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.fernet import InvalidToken

from credstore_pipeline.core.cutover.cut_over import cut_over
from credstore_pipeline.core.errors import CommitUnknown, GuardRefused
from credstore_pipeline.core.frames import TABLES
from credstore_pipeline.core.keys.ring import KeyRing, build_ring
from credstore_pipeline.core.load.transaction import Loaded, load
from credstore_pipeline.core.rollback.export import Wish, rollback_export
from credstore_pipeline_tests.lab import Lab
from credstore_pipeline_tests.pipeline.flow import TARGET_KEY, Flow, flow, opened, sealed, source, token
from credstore_pipeline_tests.pipeline.proxy import When, lossy
from credstore_pipeline_tests.sync.model import Row

BEGAN = datetime(2025, 4, 1)
TIMES = ("last_used", "last_success", "last_failure", "created_at", "updated_at")

LOST, UNHEARD = "its commit is lost", "its commit is not answered"
CUTOVER_CRASHES = ("is frozen", "committing", "final proofs were made", LOST, UNHEARD)
ROLLBACK_CRASHES = ("were written in", "read back from the file", LOST, UNHEARD)
"""Where a run dies: at a line that it logs, or when its connection is gone at the commit."""

Log = Callable[[str], None]

_RINGS: dict[tuple[str, ...], KeyRing] = {}


class Crash(Exception):
    """The run ends here."""


class World:
    """Both stores of one lab.

    Attributes:
        lab: Whose.
        keys: Key strings of the target, the one in use last.
    """

    def __init__(self, lab: Lab) -> None:
        """Start at a fixed time."""
        self.lab, self.keys = lab, [TARGET_KEY]
        self._engine = sa.create_engine(lab.database.url, pool_size=1)
        self._minutes = 0

    def now(self, *, skewed: bool = False) -> str:
        """The next minute, as SQLAlchemy writes times; skewed is a clock that went back a year."""
        self._minutes += 1
        return (BEGAN + timedelta(minutes=self._minutes) - timedelta(days=365 * skewed)).strftime(
            "%Y-%m-%d %H:%M:%S.%f"
        )

    # The legacy store

    def put_source(self, table: str, row: Row, *, lost: bool = False) -> None:
        """Write a whole row; its password sealed anew, or under a key that nobody has."""
        stored = dict(row)
        if stored.get("password") is not None:
            key = "a key that nobody has" if lost else self.lab.store.env["encryption_key"]
            stored["password"] = (token if lost else sealed)(stored["password"], key)
        names = ", ".join(stored)
        with source(self.lab) as store:
            store.execute(
                f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(stored))}) ON CONFLICT (id) DO UPDATE SET "
                + ", ".join(f"{name} = excluded.{name}" for name in stored),
                tuple(stored.values()),
            )

    def drop_source(self, table: str, row_id: str) -> None:
        """Delete one row and nothing else, as SQLite does without foreign keys."""
        with source(self.lab) as store:
            store.execute(f"DELETE FROM {table} WHERE id = ?", (row_id,))

    # PostgreSQL

    def put_target(self, table: str, row_id: str, *, lock_ms: int = 5000, **values: Any) -> None:
        """Change some columns of a row, or make it."""
        if values.get("password") is not None:
            values["password"] = sealed(values["password"], self.keys[-1])
        with self._engine.begin() as connection:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{lock_ms}ms'")
            assigned = ", ".join(f"{name} = %s" for name in values)
            there = connection.exec_driver_sql(
                f"UPDATE public.{table} SET {assigned} WHERE id = %s", (*values.values(), row_id)
            )
            if not there.rowcount:
                names = ", ".join(["id", *values])
                connection.exec_driver_sql(
                    f"INSERT INTO public.{table} ({names}) VALUES ({', '.join(['%s'] * (len(values) + 1))})",
                    (row_id, *values.values()),
                )

    def drop_target(self, table: str, row_id: str) -> None:
        """Delete a row; its associations go with it."""
        with self._engine.begin() as connection:
            connection.exec_driver_sql(f"DELETE FROM public.{table} WHERE id = %s", (row_id,))

    def close(self) -> None:
        """Leave the database."""
        self._engine.dispose()

    def _ask(self, *statements: str) -> list[tuple[Any, ...]]:
        with self._engine.begin() as connection:
            return [tuple(row) for sql in statements for row in connection.exec_driver_sql(sql)]

    def target(self) -> dict[tuple[str, str], Row]:
        """What PostgreSQL means."""
        found = {}
        for table, row in self._ask(*(f"SELECT '{table}', to_jsonb(t) FROM public.{table} t" for table in TABLES)):
            if row.get("password"):
                row["password"] = self._opened(row["password"])
            for name in TIMES:
                if row.get(name):
                    row[name] = datetime.fromisoformat(row[name]).strftime("%Y-%m-%d %H:%M:%S.%f")
            found[table, row["id"]] = row
        return found

    def waiting(self) -> dict[tuple[str, str, str], int]:
        """What conflicts wait about -> their ids."""
        rows = self._ask(
            "SELECT source_table, row_id, column_name, conflict_id FROM credstore_sync.conflicts "
            "WHERE outcome = 'waiting'"
        )
        return {(row[0], row[1], row[2]): row[3] for row in rows}

    def kept(self) -> list[tuple[Any, ...]]:
        """Everything that a pass could write besides its row in `runs`."""
        ours = ("row_state", "conflicts", "quarantine", "repairs", "tag_map", "data_key")
        places = [*(f"public.{table}" for table in TABLES), *(f"credstore_sync.{table}" for table in ours)]
        return self._ask(*(f"SELECT '{place}', t.xmin::text, t::text FROM {place} t ORDER BY 3" for place in places))

    def _opened(self, stored: str) -> str:
        for key in self.keys:
            try:
                return opened(stored, key)
            except InvalidToken:
                continue
        raise AssertionError("a password of the target opens under no key")

    # The pipeline

    def run(self, **policies: Any) -> Flow:
        """A new run under the key in use, the former ones among the source keys."""
        run = flow(
            self.lab,
            target_key=self.keys[-1],
            further_keys=tuple(self.keys[:-1]),
            max_delete_fraction=1.0,
            # What a lost connection left behind goes on for a moment.
            **{"lock_wait_s": 20.0, **policies},
        )
        # Slow keys are derived once for all runs under the same keys.
        run.ring = _RINGS.setdefault(tuple(self.keys), run.ring)
        return run

    def cut_over(self, crash: str | None = None) -> None:
        """End the window, verified, writers blocked; of a run that dies before its commit nothing is left.

        Args:
            crash: One of `CUTOVER_CRASHES`.
        """
        self.run().verify()

        def end(run: Flow, log: Log) -> None:
            cut_over(run.deployment, run.ring, run.run_id, confirm=str(self.lab.store.path), log=log)

        self._crashing(end, crash, b"INSERT INTO credstore_sync.cutover")

    def roll_back(self, crash: str | None = None) -> None:
        """Exchange the legacy store for a file of what PostgreSQL holds; `crash` is one of `ROLLBACK_CRASHES`."""

        def back(run: Flow, log: Log) -> None:
            keys = replace(run.deployment.keys, rollback_key=self.lab.store.env["encryption_key"])
            known = ("rollback", *self.keys)
            ring = _RINGS.get(known) or _RINGS.setdefault(known, build_ring(keys))
            rollback_export(replace(run.deployment, keys=keys), ring, run.run_id, Wish(swap=True), log)

        self._crashing(back, crash, b"UPDATE credstore_sync.cutover SET cleared_at")

    def _crashing(self, work: Callable[[Flow, Log], None], crash: str | None, marks: bytes) -> None:
        def log(line: str) -> None:
            if crash and crash in line:
                raise Crash

        if crash == UNHEARD:
            with self._lossy("after", marks) as run:
                work(run, log)
            return
        if crash:
            before = self._both()
            running = self._lossy("before", marks) if crash == LOST else nullcontext(self.run())
            with running as run, pytest.raises(CommitUnknown if crash == LOST else Crash):
                work(run, log)
            assert self._both() == before
        work(self.run(), lambda line: None)

    @contextmanager
    def _lossy(self, when: When, marks: bytes) -> Iterator[Flow]:
        with lossy(self.lab.database, when, marks=marks) as proxy:
            yield self.run(target=proxy.target)
            assert proxy.reached.is_set()

    def _both(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        with source(self.lab) as store:
            return list(store.iterdump()), self.kept()

    def sync(self, run: Flow, between: Any = None, *, crash: str | None = None) -> Loaded | None:
        """One pass; guards are confirmed by what they say, after they have changed nothing."""
        cargo = run.cargo()

        def log(line: str) -> None:
            run.log.append(line)
            if between is not None and "are locked now" in line:
                between(line.split(":")[0].split(".")[1])
            if crash == "before" and "committing" in line:
                raise Crash

        def once(confirm: dict[str, int]) -> Loaded:
            return load(run.deployment, run.ring, run.run_id, cargo, log=log, confirm=confirm)

        try:
            try:
                loaded = once({})
            except GuardRefused as refused:
                shown = re.search(r"\{confirm: \{(.*?)\}", str(refused))
                assert shown, str(refused)
                loaded = once({name: int(number) for name, number in re.findall(r"(\w+): (\d+)", shown[1])})
        except Crash:
            return None
        loaded = once({}) if crash == "after" else loaded
        if run.deployment.policies.whole_pass_below == 0:
            run.finish()
        return loaded


def vacuum(lab: Lab) -> None:
    """Rewrite the store's file without changing what it says."""
    connection = sqlite3.connect(lab.store.path)
    connection.execute("VACUUM")
    connection.close()
