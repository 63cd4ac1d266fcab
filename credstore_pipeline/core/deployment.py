"""One deployment: where the store is, where it goes, which keys, which policies.

The core is handed this object and reads no environment of its own, so that a fleet is one object each.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sqlalchemy.engine import URL

from credstore_pipeline.core.window import Window


@dataclass(frozen=True)
class Source:
    """The legacy store's SQLite file."""

    sqlite_path: Path


@dataclass(frozen=True, repr=False)
class Target:
    """The PostgreSQL database that the application uses afterwards.

    Attributes:
        url: `postgresql+psycopg2://…`, with the password.
        schema: Where the application's tables are.
    """

    url: URL
    schema: str = "public"

    @property
    def place(self) -> str:
        """Host, port, database and schema, without user or password."""
        return f"{self.url.host or 'local socket'}:{self.url.port or 5432}/{self.url.database}.{self.schema}"

    def __repr__(self) -> str:
        """Show the place alone."""
        return f"Target({self.place})"


@dataclass(frozen=True, repr=False)
class KeyMaterial:
    """Key strings and where further keys lie, as the operator gave them.

    Attributes:
        target_key: The key string that seals in the target (sha256 derivation, key id `default`).
        application_key: NETRAVEN_ENCRYPTION_KEY; opens in the source.
        source_keys: Further key strings or raw Fernet keys, tried in this order.
        key_dir: NetRaven's key directory (`key_<8>.key` files and `key_metadata.json`).
        key_backup: An exported key backup file, opened by `key_backup_password`.
        salts: Salts of the application's newest derivation, tried in this order.
        rollback_key: What the old application reads with, for a rollback; opens in the source too.
    """

    target_key: str
    application_key: str | None = None
    source_keys: tuple[str, ...] = ()
    key_dir: Path | None = None
    key_backup: Path | None = None
    key_backup_password: str | None = None
    salts: tuple[str, ...] = ()
    rollback_key: str | None = None

    def __repr__(self) -> str:
        """Show how many, never which."""
        return f"KeyMaterial({len(self.source_keys)} further source keys)"


@dataclass(frozen=True)
class Policies:
    """What an operator decided. Rows unless the name says otherwise."""

    max_quarantined: int = 0
    max_quarantined_links: int = 0
    plaintext: Literal["encrypt", "refuse"] = "encrypt"
    missing_tags: Literal["quarantine", "placeholder"] = "quarantine"
    password_column: Literal["keep", "widen"] = "keep"
    conflicts: Literal["manual", "source", "target"] = "manual"
    secret_conflicts: Literal["manual", "source", "target"] = "manual"
    max_delete_fraction: float = 0.1
    whole_pass_below: int = 100_000
    backup_keep: int = 5
    source_lock_max_s: float = 60.0
    lock_wait_s: float = 20.0
    window: Window = field(default_factory=Window)
    max_downtime_s: float = 60.0
    rollback_format: Literal["envelope", "token", "plaintext"] = "envelope"


@dataclass(frozen=True)
class Places:
    """Folders of this machine that the pipeline writes to."""

    home: Path
    backup_dir: Path
    staging_url: str
    report_dir: Path


@dataclass(frozen=True)
class Deployment:
    """Everything a run needs to know, and the only thing the core is handed."""

    source: Source
    target: Target
    keys: KeyMaterial = field(repr=False)
    policies: Policies
    places: Places
