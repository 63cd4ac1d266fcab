"""What the store's operations return. A password is in no `repr`, and in `asdict()` where the application has it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from credstore_pipeline.store.unopened import Unopened


class Record:
    """A result that is read by attribute, or by name as the application's dictionaries are."""

    __slots__ = ()
    shape: ClassVar[tuple[str, ...]] = ()

    def asdict(self) -> dict[str, Any]:
        """Return the application's dictionary: times as ISO text, a password in clear."""
        return {name: _plain(getattr(self, name)) for name in self.shape}

    def keys(self) -> tuple[str, ...]:
        """Return the names that `asdict()` has, so that `dict(record)` is the same."""
        return self.shape

    def get(self, name: str, default: Any = None) -> Any:
        """Return `record[name]`, or the default if the application's dictionary has no such name."""
        return self[name] if name in self.shape else default

    def __getitem__(self, name: str) -> Any:
        """Return one value of `asdict()`."""
        if name not in self.shape:
            raise KeyError(name)
        return _plain(getattr(self, name))

    def __contains__(self, name: object) -> bool:
        """Tell whether `asdict()` has the name."""
        return name in self.shape


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value.asdict() if isinstance(value, Record) else value


@dataclass(frozen=True, slots=True)
class CredentialInfo(Record):
    """A credential without its password. Times are UTC without zone; counters that are NULL count as 0."""

    id: str
    name: str
    username: str
    description: str | None
    use_keys: bool
    key_file: str | None
    success_count: int
    failure_count: int
    last_used: datetime | None
    last_success: datetime | None
    last_failure: datetime | None
    created_at: datetime | None
    updated_at: datetime | None

    shape: ClassVar[tuple[str, ...]] = (
        *("id", "name", "username", "description", "use_keys", "key_file", "success_count", "failure_count"),
        *("last_used", "last_success", "last_failure", "created_at", "updated_at"),
    )


@dataclass(frozen=True, slots=True)
class Credential(CredentialInfo):
    """A credential with its password, opened; None if it has none."""

    password: str | None = field(repr=False)

    shape: ClassVar[tuple[str, ...]] = (*CredentialInfo.shape, "password")


class _Selected:
    """A result whose password stays as it is stored until it is read."""

    __slots__ = ()
    unopened: Unopened

    @property
    def password(self) -> str | None:
        """Open the password, each time anew; None if it has none.

        Raises:
            SecretUnopenable: If no key of the store opens it.
        """
        return self.unopened.open()


@dataclass(frozen=True, slots=True)
class TaggedCredential(CredentialInfo, _Selected):
    """A credential as a tag selects it; counters of its use under that tag beside its own."""

    unopened: Unopened = field(repr=False)
    tag_id: str
    priority: float
    tag_success_count: int
    tag_failure_count: int

    shape: ClassVar[tuple[str, ...]] = (
        *("id", "name", "username", "password", "use_keys", "key_file", "description", "success_count"),
        *("failure_count", "tag_success_count", "tag_failure_count", "last_used", "last_success", "last_failure"),
        *("priority", "tag_id"),
    )


@dataclass(frozen=True, slots=True)
class RankedCredential(Record, _Selected):
    """A credential with its score for a tag.

    Attributes:
        score: From docs/store.md, "Smart selection"; the highest is tried first.
        success_rate: Percent of the attempts under this tag; None without any.
        attempts: Under this tag.
        last_success: Under this tag.
    """

    id: str
    name: str
    username: str
    unopened: Unopened = field(repr=False)
    use_keys: bool
    key_file: str | None
    tag_id: str
    priority: float
    score: float
    success_rate: float | None
    attempts: int
    last_success: datetime | None

    shape: ClassVar[tuple[str, ...]] = (
        *("id", "name", "username", "password", "use_keys", "key_file", "score", "success_rate", "attempts"),
        *("priority", "last_success", "tag_id"),
    )


@dataclass(frozen=True, slots=True)
class Tag(Record):
    """A tag."""

    id: str
    name: str
    description: str | None
    color: str | None
    created_at: datetime | None
    updated_at: datetime | None

    shape: ClassVar[tuple[str, ...]] = ("id", "name", "description", "color", "created_at", "updated_at")


@dataclass(frozen=True, slots=True)
class Association(Record):
    """A credential's place under a tag."""

    id: str
    credential_id: str
    tag_id: str
    priority: float
    success_count: int
    failure_count: int
    last_used: datetime | None
    last_success: datetime | None
    last_failure: datetime | None
    created_at: datetime | None
    updated_at: datetime | None

    shape: ClassVar[tuple[str, ...]] = (
        *("id", "credential_id", "tag_id", "priority", "success_count", "failure_count"),
        *("last_used", "last_success", "last_failure", "created_at", "updated_at"),
    )
