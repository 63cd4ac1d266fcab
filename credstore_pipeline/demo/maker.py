"""Collects the rows of one made-up store, with what each of them means and what is to become of it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from credstore_pipeline.demo.encodings import Pen, Stored
from credstore_pipeline.demo.grains import Grains
from credstore_pipeline.demo.keys import KeyBook

FIRST_ROW = datetime(2025, 3, 24, 9, 0, 0, 250_000)
LOADED = "loaded"
MAPPED = "mapped"
"""A tag whose name is taken: it is not written, its associations go to the other tag."""
TAG_ELSEWHERE = "tag_elsewhere"
"""An association whose tag is not in the file: loaded if the target has the tag or a placeholder is allowed."""
EITHER = "either"
"""The rules may load or refuse it."""


@dataclass(frozen=True)
class RawText:
    """Text as SQLite keeps it when its bytes are not valid UTF-8."""

    data: bytes


@dataclass
class Row:
    """One row to be written: column values, and what `expected.json` says beside them."""

    values: dict[str, object]
    told: dict[str, object]


@dataclass
class Maker:
    """Gathers rows in the order in which they are written; times and ids follow from the seed.

    Attributes:
        name: The flavour's name, also the store's.
        schema: A name of `schemas.SCHEMAS`.
        made_by: Which version of the application leaves such a file.
        wal: Leave every row in the -wal, without a -shm, as a copied live store shows it.
    """

    name: str
    schema: str
    made_by: str
    seed: int = 1
    notes: str = ""
    wal: bool = False
    keys: KeyBook = field(default_factory=KeyBook)
    rows: dict[str, list[Row]] = field(default_factory=lambda: {"tags": [], "credentials": [], "credential_tags": []})
    others: dict[str, list[Row]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the store's own sources of chance."""
        self.grains = Grains(self.seed)
        self.pen = Pen(self.grains)

    def secret(self, label: str) -> str:
        """A made-up password that occurs nowhere else."""
        return f"{label}!{self.grains.hex(f'{self.name}/password/{label}', 12)}#Zq"

    def moment(self, minutes: int) -> str:
        """A time as the store's own writer would have put it: UTC, six digits by the ORM, none by SQLite."""
        at = FIRST_ROW + timedelta(minutes=minutes, microseconds=137 * minutes)
        return at.strftime("%Y-%m-%d %H:%M:%S" if self.schema.startswith("script") else "%Y-%m-%d %H:%M:%S.%f")

    def credential(self, name: object, stored: Stored, *, fate: str = LOADED, note: str = "", **columns: object) -> str:
        """Add a credential and return its id (or, where `id` was given as no text, the id it would have had)."""
        place = len(self.rows["credentials"])
        made = self.grains.uuid(f"{self.name}/credential/{place}")
        values: dict[str, object] = {
            "id": made,
            "name": name,
            "description": f"made-up credential {place}",
            "username": f"operator{place}",
            "password": stored.value,
            "use_keys": 0,
            "key_file": None,
            "success_count": place % 7,
            "failure_count": place % 3,
            "last_used": self.moment(place + 600),
            "last_success": self.moment(place + 600),
            "last_failure": None,
            "created_at": self.moment(place),
            "updated_at": self.moment(place + 600),
        } | columns
        told: dict[str, object] = {
            "password": stored.meaning,
            "recoverable": stored.recoverable,
            "encoding": stored.encoding,
            "fate": fate,
        }
        self.rows["credentials"].append(Row(values, told | ({"note": note} if note else {})))
        return values["id"] if isinstance(values["id"], str) else made

    def tag(self, name: object, *, color: object = "#3386FF", fate: str = LOADED, **columns: object) -> str:
        """Add a tag and return its id."""
        place = len(self.rows["tags"])
        made = self.grains.uuid(f"{self.name}/tag/{place}")
        values: dict[str, object] = {
            "id": made,
            "name": name,
            "description": f"made-up tag {place}",
            "color": color,
            "created_at": self.moment(-60 + place),
            "updated_at": self.moment(-60 + place),
        } | columns
        self.rows["tags"].append(Row(values, {"fate": fate}))
        return values["id"] if isinstance(values["id"], str) else made

    def link(
        self, credential_id: object, tag_id: object, priority: object = 0.0, *, fate: str = LOADED, **columns: object
    ) -> None:
        """Add an association of a credential with a tag; higher priorities come first."""
        place = len(self.rows["credential_tags"])
        values: dict[str, object] = {
            "id": self.grains.uuid(f"{self.name}/association/{place}"),
            "credential_id": credential_id,
            "tag_id": tag_id,
            "priority": priority,
            "success_count": place % 5,
            "failure_count": place % 2,
            "last_used": None,
            "last_success": self.moment(place + 600) if place % 2 else None,
            "last_failure": None,
            "created_at": self.moment(place),
            "updated_at": self.moment(place),
        } | columns
        self.rows["credential_tags"].append(Row(values, {"fate": fate}))

    def neighbour(self, table: str, **values: object) -> None:
        """Add a row of a table that does not belong to the store."""
        self.others.setdefault(table, []).append(Row(dict(values), {}))
