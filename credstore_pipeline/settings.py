"""Every environment variable of the pipeline, once, with its meaning.

Nothing here is read at import: `settings_reading.read_settings()` is called when a run starts and reports all faults
at once. Each secret may stand in a file instead, named by the variable with `_FILE` appended.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from credstore_pipeline.core.cutover.archive import ARCHIVED
from credstore_pipeline.settings_window import WindowSettings

SECRET = {"secret": True}
POSTGRES_PARTS = ("HOST", "PORT", "DB", "USER", "PASSWORD")
DEFAULT_POSTGRES = {"host": "postgres", "port": 5432, "db": "netraven", "user": "netraven", "password": "netraven"}
"""What the application takes where only some of its POSTGRES_ variables are set."""

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


class TargetSettings(BaseSettings):
    """Where the target is and what seals in it."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", hide_input_in_errors=True, frozen=True)

    CREDSTORE_POSTGRES_URL: str | None = Field(
        None,
        repr=False,
        json_schema_extra=SECRET,
        description="The target, as `postgresql://user:password@host:port/database`. Only the word `embedded` starts "
        "the embedded server.",
    )
    POSTGRES_HOST: str | None = Field(
        None, description="The target's host, the application's own variable (default `postgres` if another is set)."
    )
    POSTGRES_PORT: int | None = Field(None, ge=1, le=65535, description="The target's port (5432).")
    POSTGRES_DB: str | None = Field(None, description="The target's database (`netraven`).")
    POSTGRES_USER: str | None = Field(None, description="The target's user (`netraven`).")
    POSTGRES_PASSWORD: str | None = Field(
        None, repr=False, json_schema_extra=SECRET, description="The target's password (`netraven`)."
    )
    CREDSTORE_POSTGRES_SSLMODE: SslMode | None = Field(
        None, description="libpq's sslmode; use `verify-full` across a network."
    )
    CREDSTORE_POSTGRES_SSLROOTCERT: Path | None = Field(None, description="The certificate authority's file.")
    CREDSTORE_TARGET_SCHEMA: str = Field("public", min_length=1, description="Where the application's tables are.")
    NETRAVEN_ENCRYPTION_KEY: str | None = Field(
        None, repr=False, json_schema_extra=SECRET, description="The application's key string."
    )
    CREDSTORE_TARGET_KEY: str | None = Field(
        None,
        repr=False,
        json_schema_extra=SECRET,
        description="The key string that seals in the target (default: `NETRAVEN_ENCRYPTION_KEY`). With neither the "
        "run refuses: plaintext is never written.",
    )
    CREDSTORE_LOCK_WAIT_S: float = Field(
        20.0, ge=0, description="Seconds to wait for another run's lock on the target before failing."
    )
    CREDSTORE_EMBEDDED_DIR: Path | None = Field(
        None, description="Where the embedded server of `CREDSTORE_POSTGRES_URL=embedded` keeps its data."
    )

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], **sources: PydanticBaseSettingsSource
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what was read from secret files, then the environment; nothing else, no .env."""
        return (sources["init_settings"], sources["env_settings"])

    @field_validator("CREDSTORE_POSTGRES_SSLROOTCERT")
    @classmethod
    def _certificate_is_there(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_file():
            raise ValueError("there is no such file")
        return path


class SeedSettings(TargetSettings):
    """What a fresh installation is given; read without a legacy store."""

    CREDSTORE_SEED: bool | None = Field(
        None,
        description="Whether whole runs seed default tags and credentials as well; their own jobs always do, and "
        "`credstore-init` unless this is `false`.",
    )
    CREDSTORE_SEED_FILE: Path | None = Field(None, description="Further tags to seed, a YAML file.")
    CREDSTORE_SEED_ADMIN_PASSWORD: str | None = Field(
        None, repr=False, json_schema_extra=SECRET, description="The password of the seeded credential Admin."
    )
    CREDSTORE_SEED_BACKUP_PASSWORD: str | None = Field(
        None, repr=False, json_schema_extra=SECRET, description="The password of the seeded credential Backup."
    )
    CREDSTORE_SEED_MONITOR_PASSWORD: str | None = Field(
        None, repr=False, json_schema_extra=SECRET, description="The password of the seeded credential Monitor."
    )
    CREDSTORE_INIT_MAX_S: float = Field(
        120.0, gt=0, description="Seconds that `credstore-init` waits for PostgreSQL before it gives up."
    )


class MigrationSettings(TargetSettings):
    """What a migration reads besides its target."""

    CREDSTORE_SQLITE_PATH: Path = Field(description="The legacy store: the SQLite file to move.")
    CREDSTORE_SOURCE_KEYS: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        repr=False,
        json_schema_extra=SECRET,
        description="Further key strings or raw Fernet keys that open in the source, as a JSON list.",
    )
    CREDSTORE_KEY_DIR: Path | None = Field(None, description="NetRaven's key directory (`data/keys`).")
    CREDSTORE_KEY_BACKUP: Path | None = Field(None, description="NetRaven's exported key backup, a file.")
    CREDSTORE_KEY_BACKUP_PASSWORD: str | None = Field(
        None, repr=False, json_schema_extra=SECRET, description="The password of that backup."
    )
    NETRAVEN_ENCRYPTION_SALT: str | None = Field(
        None,
        validation_alias=AliasChoices("NETRAVEN_SECURITY__ENCRYPTION_SALT", "NETRAVEN_ENCRYPTION_SALT"),
        description="The salt of the application's newest key derivation; its published ones are tried in any case. "
        "`NETRAVEN_SECURITY__ENCRYPTION_SALT` is read as well.",
    )
    CREDSTORE_MAX_QUARANTINED: int = Field(
        0, ge=0, description="Rows of `credentials` that may be left behind, in quarantine."
    )
    CREDSTORE_MAX_QUARANTINED_LINKS: int = Field(
        0,
        ge=0,
        description="Tags and associations refused for their own sake that may be left behind; those that follow a "
        "quarantined parent, and orphans of a credential that does not exist, do not count.",
    )
    CREDSTORE_PLAINTEXT: Literal["encrypt", "refuse"] = Field("encrypt", description="Plaintext rows.")
    CREDSTORE_MISSING_TAGS: Literal["quarantine", "placeholder"] = Field(
        "quarantine", description="An association's tag is in neither store."
    )
    CREDSTORE_PASSWORD_COLUMN: Literal["keep", "widen"] = Field(
        "keep",
        description="A sealed password longer than the column: `keep` quarantines the row, `widen` alters the column "
        "to text.",
    )
    CREDSTORE_CONFLICTS: Literal["manual", "source", "target"] = Field(
        "manual",
        description="A value, or a row, that was changed on both sides since the last load: `manual` keeps the "
        "target's and waits for job `resolve_conflicts`, the others decide. What is discarded is kept sealed.",
    )
    CREDSTORE_SECRET_CONFLICTS: Literal["manual", "source", "target"] = Field(
        "manual", description="The same for usernames and passwords, and for rows in which one of them changed."
    )
    CREDSTORE_MAX_DELETE_FRACTION: float = Field(
        0.1,
        ge=0,
        le=1,
        description="The part of a table's rows that may be deleted in the source between two loads; three rows always "
        "may, all of them never. More is refused unless the run config confirms the number.",
    )
    CREDSTORE_WHOLE_PASS_BELOW: int = Field(
        100_000,
        ge=0,
        description="Rows in the file. A store with fewer is read, opened and proven whole at each pass; of a larger "
        "one, while rows are only edited, the edited rows alone, and all of them once a day.",
    )
    CREDSTORE_BACKUP_DIR: Path | None = Field(
        None, description="Snapshots (default: `credstore-snapshots` beside DAGSTER_HOME). Never below DAGSTER_HOME."
    )
    CREDSTORE_BACKUP_KEEP: int = Field(
        5, ge=1, description="Snapshots kept, besides the one of the initial load and the one last loaded."
    )
    CREDSTORE_STAGING_URL: str | None = Field(
        None, description="Sealed files between steps, any fsspec path (default: `staging` under DAGSTER_HOME)."
    )
    CREDSTORE_SOURCE_LOCK_MAX_S: float = Field(
        60.0, gt=0, description="Seconds that reading may keep the source's writers waiting before it gives up."
    )
    DAGSTER_HOME: Path = Field(description="Dagster's home, an absolute path: history, sealed staging and reports.")

    @field_validator("CREDSTORE_SOURCE_KEYS", mode="before")
    @classmethod
    def _json_list(cls, text: Any) -> Any:
        if not isinstance(text, str):
            return text
        try:
            keys = json.loads(text)
        except ValueError:
            keys = None
        if not isinstance(keys, list) or not all(isinstance(key, str) and key for key in keys):
            raise ValueError("it is not a JSON list of non-empty strings")
        return tuple(keys)

    @field_validator("CREDSTORE_SQLITE_PATH")
    @classmethod
    def _file_is_there(cls, path: Path) -> Path:
        if not path.is_file() and not list(path.parent.glob(f"{path.name}{ARCHIVED}*")):
            raise ValueError("there is no such file")
        return path.absolute()

    @field_validator("CREDSTORE_KEY_DIR")
    @classmethod
    def _folder_is_there(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_dir():
            raise ValueError("there is no such folder")
        return path

    @field_validator("CREDSTORE_KEY_BACKUP")
    @classmethod
    def _optional_file_is_there(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_file():
            raise ValueError("there is no such file")
        return path

    @field_validator("DAGSTER_HOME")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        if not path.is_absolute():
            raise ValueError("it must be an absolute path")
        return path


class Settings(WindowSettings, SeedSettings, MigrationSettings):
    """The environment as read once, at the start of a run."""
