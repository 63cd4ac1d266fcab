"""What PostgreSQL must mean after each pass, said with dictionaries alone and without the product's merge.

Rows are dictionaries of column -> value; passwords are texts in the clear, times ISO texts of one width, so that the
later one is the greater. A row's key is (table, id).
"""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

COUNTS = ("success_count", "failure_count")
LATEST = ("last_used", "last_success", "last_failure", "updated_at")
MOVING = {*COUNTS, *LATEST}
SECRET = {"username", "password"}
MOST = 2**31 - 1

Key = tuple[str, str]
Row = dict[str, Any]


def lasting(row: Row) -> Row:
    """A row without what logins move."""
    return {name: value for name, value in row.items() if name not in MOVING}


@dataclass
class Agreed:
    """What both sides last agreed on, column by column, and the source's counters then."""

    source: Row
    target: Row
    buried: bool = False


@dataclass
class Waits:
    """An undecided conflict: what each side meant when it was first seen, and the source's whole row then."""

    source: Any
    target: Any
    row: Row | None = None


@dataclass
class Model:
    """Both stores and what lies between them."""

    source: dict[Key, Row] = field(default_factory=dict)
    target: dict[Key, Row] = field(default_factory=dict)
    agreed: dict[Key, Agreed] = field(default_factory=dict)
    waiting: dict[tuple[str, str, str], "Waits"] = field(default_factory=dict)
    returning: set[str] = field(default_factory=set)
    broken: set[Key] = field(default_factory=set)

    def sync(self, policy: str = "manual", secret: str = "manual") -> None:
        """One pass that nothing disturbs."""
        self._policy, self._secret = policy, secret
        before, self.waiting = self.waiting, {}
        held = {key for key in self.source if self._held(key)}
        for table in ("tags", "credentials", "credential_tags"):
            for key in sorted(key for key in self.source if key[0] == table and key not in held):
                self._row(key)
        self._gone()
        self.returning.clear()
        for about, earlier in before.items():
            found = self.waiting.get(about)
            if about[:2] in held or (found and (found.source, found.target) == (earlier.source, earlier.target)):
                self.waiting[about] = earlier

    def settle(self, about: tuple[str, str, str], choice: str) -> None:
        """A person decides; the target has not moved since the conflict was seen."""
        table, row_id, column = about
        key, waits = (table, row_id), self.waiting.pop(about)
        known = self.agreed[key]
        if column != "*":
            known.source[column] = waits.source
            if choice == "source":
                self.target[key][column] = known.target[column] = waits.source
        elif waits.row is not None:
            if choice == "source":
                self.target[key] = deepcopy(waits.row)
                self.agreed[key] = Agreed(deepcopy(waits.row), deepcopy(waits.row))
                if table == "credentials":
                    self.returning.add(row_id)
            else:
                known.source = deepcopy(waits.row)
        else:
            known.buried = True
            if choice == "source":
                self.drop(key)
            if table == "credentials":
                for link, agreed in self.agreed.items():
                    if link[0] == "credential_tags" and agreed.source["credential_id"] == row_id and not agreed.buried:
                        agreed.buried = True

    def can_end(self) -> bool:
        """Whether nothing waits and nothing of the source stays behind; and there is something to end."""
        return bool(self.source) and not self.waiting and not any(self._held(key) for key in self.source)

    def roll_back(self) -> None:
        """The target, as it stands, becomes the source, and both are agreed on every row of it."""
        self.source = deepcopy(self.target)
        for key, known in self.agreed.items():
            known.buried = known.buried or key not in self.target
        for key, row in self.target.items():
            self.agreed[key] = Agreed(deepcopy(row), deepcopy(row))
        self.returning.clear()

    def drop(self, key: Key) -> None:
        """Delete from the target, and what hangs on it."""
        del self.target[key]
        column = {"credentials": "credential_id", "tags": "tag_id"}.get(key[0])
        for link in [link for link, row in self.target.items() if column and row.get(column) == key[1]]:
            del self.target[link]

    def can_settle(self, about: tuple[str, str, str]) -> bool:
        """Whether the target still is as it was when the conflict was seen."""
        key, waits = about[:2], self.waiting[about]
        there = self.target.get(key)
        if waits.row is not None:
            return there is None and (key[0] != "credential_tags" or self._parents_there(waits.row))
        if about[2] == "*":
            return there is not None and lasting(there) == waits.target
        return there is not None and there[about[2]] == waits.target

    def _held(self, key: Key) -> bool:
        """In the source, and yet not to be loaded from it in this pass."""
        if key in self.broken:
            return True
        if key[0] != "credential_tags":
            return False
        row = self.source[key]
        credential, tag = ("credentials", row["credential_id"]), ("tags", row["tag_id"])
        known = self.agreed.get(credential)
        stands = credential not in self.broken or (known is not None and not known.buried)
        return credential not in self.source or not stands or (tag not in self.source and tag not in self.target)

    def _decides(self, columns: set[str]) -> str:
        return self._secret if columns & SECRET else self._policy

    def _parents_there(self, row: Row) -> bool:
        return ("credentials", row["credential_id"]) in self.target and ("tags", row["tag_id"]) in self.target

    def _row(self, key: Key) -> None:
        table, row_id = key
        now, known, there = self.source[key], self.agreed.get(key), self.target.get(key)
        link = table == "credential_tags"
        if link and there is None and now["credential_id"] in self.returning:
            known = None
        if known is None or (known.buried and there is None):
            if known is not None and lasting(known.source) == lasting(now):
                return
            if link and not self._parents_there(now):
                return
            assert there is None, "the machine makes no rows of one id on both sides"
            self._insert(key)
        elif there is None:
            if lasting(known.source) == lasting(now) or (link and not self._parents_there(now)):
                return
            changed = {name for name in lasting(now) if now[name] != known.source[name]}
            decision = self._decides(changed)
            if decision == "source":
                self._insert(key)
            elif decision == "target":
                known.source = deepcopy(now)
            else:
                self.waiting[table, row_id, "*"] = Waits(lasting(now), None, deepcopy(now))
        elif known.buried and lasting(known.source) == lasting(now):
            return
        elif now != known.source and not (link and not self._parents_there(now)):
            known.buried = False
            self._merge(key, now, known, there)

    def _insert(self, key: Key) -> None:
        self.target[key] = deepcopy(self.source[key])
        self.agreed[key] = Agreed(deepcopy(self.source[key]), deepcopy(self.source[key]))
        if key[0] == "credentials":
            self.returning.add(key[1])

    def _merge(self, key: Key, now: Row, known: Agreed, there: Row) -> None:
        for name in lasting(now):
            if now[name] == known.source[name]:
                continue
            own = there[name] not in (known.target[name], known.source[name])
            if own and there[name] != now[name]:
                decision = self._decides({name})
                if decision == "manual":
                    self.waiting[(*key, name)] = Waits(now[name], there[name])
                    continue
                if decision == "target":
                    known.source[name] = now[name]
                    continue
            there[name] = known.source[name] = known.target[name] = now[name]
        for name in COUNTS:
            if name in now:
                grown = now[name] - known.source[name] if now[name] >= known.source[name] else now[name]
                there[name] = min(there[name] + grown, MOST)
                known.source[name] = now[name]
        for name in LATEST:
            if name in now and now[name] != known.source[name]:
                there[name] = max((value for value in (now[name], there[name]) if value is not None), default=None)
                known.source[name] = now[name]

    def _gone(self) -> None:
        gone = [key for key, known in self.agreed.items() if not known.buried and key not in self.source]
        leaving, staying, followers = set(), set(), set()
        for key in [key for key in gone if key[0] == "credentials"]:
            foreign = any(
                table == "credential_tags"
                and row["credential_id"] == key[1]
                and ((table, row_id) not in self.agreed or self.agreed[table, row_id].buried)
                for (table, row_id), row in self.target.items()
            )
            hanging = {link for link, row in self.target.items() if row.get("credential_id") == key[1]}
            fate = self._fate(key, foreign)
            if fate == "delete":
                leaving.add(key[1])
                followers |= hanging
            elif fate != "absent":
                staying.add((key[1], fate))
        kept = {row_id for row_id, _ in staying}
        for key in [key for key in gone if key[0] == "credential_tags"]:
            row = self.target.get(key)
            if row is not None and row["credential_id"] in kept:
                if (row["credential_id"], "leave") in staying:
                    self.agreed[key].buried = True
            else:
                self._fate(key, False)
        for key, known in self.agreed.items():
            if key[0] == "credential_tags" and key in followers:
                known.buried = True
        for key in [key for key in gone if key[0] == "tags"]:
            used = any(row.get("tag_id") == key[1] for row in self.target.values())
            self._fate(key, used)

    def _fate(self, key: Key, used: bool) -> str:
        known, there = self.agreed[key], self.target.get(key)
        if there is None:
            known.buried = True
            return "absent"
        own = {name for name in lasting(there) if there[name] not in (known.target[name], known.source[name])}
        if own or used:
            decision = self._decides(own)
            if decision == "manual":
                self.waiting[(*key, "*")] = Waits(None, lasting(there))
                return "wait"
            if decision == "target":
                known.buried = True
                return "leave"
        self.drop(key)
        known.buried = True
        return "delete"
