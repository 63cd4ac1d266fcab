"""Any order of writes on both sides, passes, crashes, key changes and decisions; the model says what must come out."""

import sqlite3
from typing import Any, ClassVar

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy.exc import DBAPIError

from credstore_pipeline.core.errors import CutOver
from credstore_pipeline.core.sync.settle import settle
from credstore_pipeline_tests.sync.model import Key, Model, Row, lasting
from credstore_pipeline_tests.sync.world import CUTOVER_CRASHES, ROLLBACK_CRASHES, World

PICK = st.integers(0, 10_000)
POLICIES = st.sampled_from(["manual", "manual", "source", "target"])
COLUMNS = {
    "tags": ("name", "description", "color"),
    "credentials": ("name", "description", "username", "password", "key_file", "use_keys"),
    "credential_tags": ("priority",),
}
TABLE = st.sampled_from(list(COLUMNS))


class Window(RuleBasedStateMachine):
    """Two live stores."""

    make: ClassVar[Any] = None
    steps: ClassVar[int] = 0
    ENDS: ClassVar[int] = 1
    """How often one example ends its window: half of the time would else go into that."""

    @initialize()
    def open(self) -> None:
        """A loaded store of three tags, three credentials and four associations."""
        self.world: World = self.make()
        self.model = Model()
        self.made = self.ended = 0
        for _ in range(3):
            self._new_source("tags")
            self._new_source("credentials")
        for _ in range(4):
            self._new_source("credential_tags", self.made)
        self.pass_()

    @invariant()
    def count(self) -> None:
        """One step more, whatever it was."""
        type(self).steps += 1

    # Writes in the legacy store

    def _row(self, table: str, rows: dict[Key, Row], pick: int) -> Row | None:
        self.made += 1
        now = self.world.now()
        row: Row = {"id": f"{table}-{self.made}", "created_at": now, "updated_at": now}
        if table == "tags":
            return row | {"name": f"tag {self.made}", "description": None, "color": "#000000"}
        row |= dict.fromkeys(("last_used", "last_success", "last_failure")) | {"success_count": 0, "failure_count": 0}
        if table == "credentials":
            return row | {
                "name": f"name {self.made}",
                "description": None,
                "username": f"user {self.made}",
                "password": f"password {self.made}",
                "use_keys": False,
                "key_file": None,
            }
        parents = [sorted(key[1] for key in rows if key[0] == parent) for parent in ("credentials", "tags")]
        if not all(parents):
            return None
        credential, tag = (ids[pick % len(ids)] for ids in parents)
        return row | {"credential_id": credential, "tag_id": tag, "priority": float(self.made)}

    def _new_source(self, table: str, pick: int = 0) -> None:
        row = self._row(table, self.model.source, pick)
        if row:
            self._put_source((table, row["id"]), row)

    def _put_source(self, key: Key, row: Row) -> None:
        self.model.source[key] = row
        self.world.put_source(key[0], row)

    def _one(self, rows: dict[Key, Row], table: str, pick: int) -> Key | None:
        keys = sorted(key for key in rows if key[0] == table)
        return keys[pick % len(keys)] if keys else None

    def _value(self, column: str) -> Any:
        self.made += 1
        if column == "priority":
            return float(self.made % 7)
        if column == "use_keys":
            return bool(self.made % 2)
        return f"#{self.made:06}" if column == "color" else f"{column} {self.made}"

    @rule(table=TABLE, pick=PICK)
    def source_adds(self, table: str, pick: int) -> None:
        """A new row."""
        self._new_source(table, pick)

    @rule(table=TABLE, pick=PICK, which=PICK)
    def source_changes(self, table: str, pick: int, which: int) -> None:
        """Another value in one column."""
        key = self._one(self.model.source, table, pick)
        if key:
            column = COLUMNS[table][which % len(COLUMNS[table])]
            self.model.broken.discard(key)
            row = {**self.model.source[key], column: self._value(column), "updated_at": self.world.now()}
            self._put_source(key, row)

    @rule(
        pick=PICK, table=st.sampled_from(["credentials", "credential_tags"]), skewed=st.booleans(), reset=st.booleans()
    )
    def source_logs_in(self, pick: int, table: str, skewed: bool, reset: bool) -> None:
        """A login moves counters and times, by a clock that may be wrong; or the counter is set to zero."""
        key = self._one(self.model.source, table, pick)
        if key and key not in self.model.broken:
            now = self.world.now(skewed=skewed)
            row = dict(self.model.source[key])
            row["success_count"] = 0 if reset else row["success_count"] + 1
            self._put_source(key, row | {"last_used": now, "last_success": now, "updated_at": now})

    @rule(pick=PICK)
    def source_seals_anew(self, pick: int) -> None:
        """The same password in other ciphertext: no change."""
        key = self._one(self.model.source, "credentials", pick)
        if key and key not in self.model.broken:
            self.world.put_source(key[0], self.model.source[key])

    @rule(pick=PICK)
    def source_password_is_lost(self, pick: int) -> None:
        """A password that no key opens."""
        key = self._one(self.model.source, "credentials", pick)
        if key:
            self.model.source[key] = {**self.model.source[key], "password": self._value("password")}
            self.model.broken.add(key)
            self.world.put_source(key[0], self.model.source[key], lost=True)

    @rule(table=TABLE, pick=PICK, whole=st.booleans())
    def source_deletes(self, table: str, pick: int, whole: bool) -> None:
        """A row goes, its associations with it or not."""
        key = self._one(self.model.source, table, pick)
        if not key:
            return
        column = {"credentials": "credential_id", "tags": "tag_id"}.get(table)
        links = [link for link, row in self.model.source.items() if column and row.get(column) == key[1]]
        for gone in [key, *(links if whole else [])]:
            del self.model.source[gone]
            self.model.broken.discard(gone)
            self.world.drop_source(*gone)

    @rule(pick=PICK, table=TABLE, changed=st.booleans())
    def source_brings_back(self, pick: int, table: str, changed: bool) -> None:
        """A row that was deleted is there again, as it was or not."""
        gone = {key: known.source for key, known in self.model.agreed.items() if key not in self.model.source}
        key = self._one(gone, table, pick)
        if key:
            row = {**gone[key], "updated_at": self.world.now()}
            if changed:
                column = COLUMNS[table][pick % len(COLUMNS[table])]
                row[column] = self._value(column)
            self._put_source(key, row)

    # Writes in PostgreSQL

    @rule(table=TABLE, pick=PICK)
    def target_adds(self, table: str, pick: int) -> None:
        """A row of the application's own."""
        row = self._row(table, self.model.target, pick)
        if row:
            self._set_target((table, f"own-{row['id']}"), {**row, "id": f"own-{row['id']}"})

    @rule(table=TABLE, pick=PICK, which=PICK)
    def target_changes(self, table: str, pick: int, which: int) -> None:
        """Another value in one column."""
        self._set_target(*self._target_change(table, pick, which))

    @rule(pick=PICK, which=PICK)
    def both_change_to_the_same(self, pick: int, which: int) -> None:
        """One new value on both sides."""
        key = self._one(
            {key: row for key, row in self.model.source.items() if key in self.model.target}, "credentials", pick
        )
        if key and key not in self.model.broken:
            column = COLUMNS["credentials"][which % len(COLUMNS["credentials"])]
            value = self._value(column)
            self._put_source(key, {**self.model.source[key], column: value})
            self._set_target(key, {column: value})

    @rule(pick=PICK)
    def target_logs_in(self, pick: int) -> None:
        """A login in PostgreSQL."""
        key = self._one(self.model.target, "credentials", pick)
        if key:
            now = self.world.now()
            count = self.model.target[key]["success_count"] + 1
            self._set_target(key, {"success_count": count, "last_used": now, "updated_at": now})

    @rule(table=TABLE, pick=PICK)
    def target_deletes(self, table: str, pick: int) -> None:
        """A row goes, and what hangs on it."""
        key = self._one(self.model.target, table, pick)
        if key:
            self.world.drop_target(*key)
            self.model.drop(key)

    def _target_change(self, table: str, pick: int, which: int) -> tuple[Key | None, Row]:
        column = COLUMNS[table][which % len(COLUMNS[table])]
        return self._one(self.model.target, table, pick), {column: self._value(column)}

    def _set_target(self, key: Key | None, values: Row, **how: Any) -> None:
        if key:
            self.world.put_target(*key, **{name: value for name, value in values.items() if name != "id"}, **how)
            self.model.target[key] = {**self.model.target.get(key, {}), **values}

    # The pipeline

    @rule(policy=POLICIES, secret=POLICIES)
    def pass_(self, policy: str = "manual", secret: str = "manual") -> None:
        """One pass."""
        run = self.world.run(conflicts=policy, secret_conflicts=secret)
        self.world.sync(run)
        self.model.sync(policy, secret)
        self._equal()
        assert not run.red()

    @rule(pick=PICK, which=PICK, logs_in=st.booleans())
    def pass_while_the_target_is_written(self, pick: int, which: int, logs_in: bool) -> None:
        """The application writes between the pipeline's reading a row and locking it."""

        def between(table: str) -> None:
            nonlocal done
            if done:
                return
            done = True
            key, values = self._target_change(table, pick, which)
            if logs_in and key and table != "tags":
                values = {"failure_count": self.model.target[key]["failure_count"] + 1}
            try:
                self._set_target(key, values, lock_ms=100)
            except DBAPIError:
                return  # the pass holds the row already

        done = False
        self.world.sync(self.world.run(), between)
        self.model.sync()
        self._equal()

    @rule(how=st.sampled_from(["dies before its commit", "is not told of its commit", "is followed by another"]))
    def pass_that(self, how: str) -> None:
        """A pass of which nothing is left, or which finds itself done, or after which another one writes nothing."""
        before = self.world.kept()
        run = self.world.run()
        if how == "dies before its commit":
            assert self.world.sync(run, crash="before") is None
            assert self.world.kept() == before
            return
        self.world.sync(run, crash="after" if how == "is not told of its commit" else None)
        self.model.sync()
        self._equal()
        if how == "is followed by another":
            before = self.world.kept()
            self.world.sync(self.world.run())
            assert self.world.kept() == before
        else:
            assert any("acknowledgement" in line for line in run.log)

    @rule()
    def target_key_changes(self) -> None:
        """From now on another key seals."""
        self.world.keys.append(f"target key {len(self.world.keys)}")

    @precondition(lambda self: self.model.waiting)
    @rule(pick=PICK, choice=st.sampled_from(["source", "target"]))
    def person_decides(self, pick: int, choice: str) -> None:
        """One waiting conflict is settled, unless the target moved."""
        about = sorted(self.model.waiting)[pick % len(self.model.waiting)]
        if self.model.can_settle(about):
            run = self.world.run()
            settle(run.deployment, run.ring, run.run_id, {self.world.waiting()[about]: choice}, log=run.log.append)
            self.model.settle(about, choice)
            self._equal()

    @precondition(lambda self: self.ended < self.ENDS and self.model.can_end())
    @rule(
        table=TABLE,
        pick=PICK,
        which=PICK,
        crash=st.sampled_from((None, *CUTOVER_CRASHES)),
        crash_back=st.sampled_from((None, *ROLLBACK_CRASHES)),
    )
    def window_ends_and_is_rolled_back(
        self, table: str, pick: int, which: int, crash: str | None = None, crash_back: str | None = None
    ) -> None:
        """A pass, a cutover, a late writer who is refused, a write in PostgreSQL, all the way back; runs may die."""
        self.pass_()
        if not self.model.can_end():
            return
        self.ended += 1
        self.world.cut_over(crash)
        self._equal()
        self.world.close()
        late = self._one(self.model.source, "credentials", pick)
        if late:
            with pytest.raises(sqlite3.IntegrityError):
                self.world.put_source("credentials", self.model.source[late])
        with pytest.raises(CutOver):
            self.world.sync(self.world.run())
        self._set_target(*self._target_change(table, pick, which))
        self.world.roll_back(crash_back)
        self.model.roll_back()
        self._equal()
        before = self.world.kept()
        self.world.sync(self.world.run())
        assert self.world.kept() == before

    def teardown(self) -> None:
        """Leave the database to the next example."""
        if hasattr(self, "world"):
            self.world.close()

    def _equal(self) -> None:
        found = self.world.target()
        assert found.keys() == self.model.target.keys()
        for key, row in self.model.target.items():
            assert found[key] == row, (key, lasting(row))
        assert self.world.waiting().keys() == self.model.waiting.keys()
