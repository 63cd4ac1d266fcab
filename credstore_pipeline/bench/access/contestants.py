"""What is measured: the same operations, on each side, from one client."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sqlalchemy.engine import URL

from credstore_pipeline.bench.access.legacy import LegacyStore
from credstore_pipeline.store import CredentialStore, StoreSettings

OPERATIONS = ("get by id", "by tag", "smart selection", "add", "status update")
HOT = 20
"""Status updates go to so many credentials, as logins do."""


@dataclass(frozen=True)
class Place:
    """Where a contestant's rows are, and which ids to ask for."""

    name: str
    size: int
    key: str = field(repr=False)
    credential_ids: list[str] = field(repr=False)
    tag_ids: list[str] = field(repr=False)
    hot: list[tuple[str, str]] = field(repr=False)
    path: Path | None = None
    url: URL | None = None


class Client(Protocol):
    """One client with connections of its own."""

    def work(self, operation: str) -> bool:
        """Do the operation once; False if it was refused."""

    @property
    def locked(self) -> int:
        """How often the database was locked."""


def make_client(place: Place, seed: int) -> Client:
    """Connect to the place."""
    return SqliteClient(place, seed) if place.path else PostgresClient(place, seed)


class SqliteClient:
    """The application's access."""

    def __init__(self, place: Place, seed: int) -> None:
        chosen = random.Random(seed)  # noqa: S311  no secret
        store = self._store = LegacyStore(place.path or Path(), place.key)
        self._works: dict[str, Callable[[], object]] = {
            "get by id": lambda: store.get(chosen.choice(place.credential_ids)),
            "by tag": lambda: store.by_tag(chosen.choice(place.tag_ids)),
            "smart selection": lambda: store.smart(chosen.choice(place.tag_ids)),
            "add": lambda: store.add(chosen.choice(place.tag_ids)),
            "status update": lambda: store.status(*chosen.choice(place.hot)),
        }

    def work(self, operation: str) -> bool:
        """Do the operation once."""
        return self._works[operation]() is not False

    @property
    def locked(self) -> int:
        """How often the file was locked."""
        return self._store.locked


class PostgresClient:
    """CredentialStore."""

    locked = 0

    def __init__(self, place: Place, seed: int) -> None:
        chosen = random.Random(seed)  # noqa: S311  no secret
        settings = StoreSettings(pool_size=1, max_overflow=0)
        store = CredentialStore(place.url, place.key, settings=settings)
        self._works: dict[str, Callable[[], object]] = {
            "get by id": lambda: store.get_credential(chosen.choice(place.credential_ids)),
            # The application opens every password of a selection, so each is read here too.
            "by tag": lambda: [one.password for one in store.get_credentials_by_tag(chosen.choice(place.tag_ids))],
            "smart selection": lambda: [
                one.password for one in store.get_smart_credentials_for_tag(chosen.choice(place.tag_ids))
            ],
            "add": lambda: store.add_credential("new", "admin", "a password", tags=[chosen.choice(place.tag_ids)]),
            "status update": lambda: store.update_credential_status(*chosen.choice(place.hot), success=True),
        }

    def work(self, operation: str) -> bool:
        """Do the operation once."""
        return self._works[operation]() is not False
