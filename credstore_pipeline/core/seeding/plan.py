"""What is to be seeded, and into what."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from credstore_pipeline.core.deployment import KeyMaterial, Target
from credstore_pipeline.core.secrets.judge import PUBLISHED_PASSWORDS
from credstore_pipeline.core.secrets.shapes import shape_of

PASSWORD_MAX_BYTES = 479
"""A longer password, sealed, is longer than the application's column."""

LOCK_WAIT_S = 20.0


@dataclass(frozen=True)
class SeedTag:
    """A tag to be there.

    Attributes:
        name: By which it is known: 1 to 50 characters.
        description: For people.
        color: `#` and six hexadecimal digits.
        tag_id: An id that the application relies on; None for a random one.
    """

    name: str
    description: str | None
    color: str
    tag_id: str | None = None


@dataclass(frozen=True, repr=False)
class SeedCredential:
    """A credential to be there, on each of the default tags.

    Attributes:
        name: By which it is known.
        username: On the devices.
        description: For people.
        priority: On each tag; the highest is tried first.
        password: In the clear; it is sealed before it is sent.
    """

    name: str
    username: str
    description: str
    priority: float
    password: str

    def __repr__(self) -> str:
        """Show the name alone."""
        return f"SeedCredential({self.name})"


DEFAULT_TAGS = (
    SeedTag("Routers", "Network routers", "#FF5733"),
    SeedTag("Switches", "Network switches", "#3386FF"),
    SeedTag("Firewalls", "Network firewalls", "#33FF57"),
    SeedTag("Default", "Default tag for all devices", "#6366F1", tag_id="tag-default"),
)
"""The application's own, with its descriptions and colours."""

_CREDENTIALS = {
    "Admin": ("admin", "Administrator credentials with highest privileges", 100.0),
    "Backup": ("backup", "Backup user with read-only access for configuration backups", 50.0),
    "Monitor": ("monitor", "Monitor user with minimal read-only access for monitoring", 10.0),
}
"""Name -> user name, description, priority: those of the application's setup script, without its passwords."""


def default_credentials(passwords: Mapping[str, str]) -> tuple[SeedCredential, ...]:
    """Return those of the default credentials that a password is given for.

    Args:
        passwords: By the credential's name: Admin, Backup, Monitor.
    """
    return tuple(
        SeedCredential(name, username, description, priority, passwords[name])
        for name, (username, description, priority) in _CREDENTIALS.items()
        if name in passwords
    )


def password_fault(password: str) -> str | None:
    """Say why a password may not be seeded, without showing it; None if it may."""
    plaintext = password.encode(errors="surrogateescape")
    if plaintext in PUBLISHED_PASSWORDS:
        return "it is one of the application's published default passwords, which everyone knows; choose another"
    if len(plaintext) > PASSWORD_MAX_BYTES:
        return f"it is longer than {PASSWORD_MAX_BYTES} bytes, and sealed it does not fit the application's column"
    if shape_of(plaintext) is not None:
        return "it has the shape of ciphertext; give the password itself"
    return None


@dataclass(frozen=True)
class Seeding:
    """Everything that seeding is handed.

    Attributes:
        target: The database.
        keys: What seals; None if no key is given, and then there are no credentials.
        tags: Default tags first, then those of the operator's file.
        credentials: Those with a password.
        asked: True or False as the operator said; None if nothing was said.
        lock_wait_s: How long to wait for a load that is running.
    """

    target: Target
    keys: KeyMaterial | None = field(default=None, repr=False)
    tags: tuple[SeedTag, ...] = DEFAULT_TAGS
    credentials: tuple[SeedCredential, ...] = ()
    asked: bool | None = None
    lock_wait_s: float = LOCK_WAIT_S
