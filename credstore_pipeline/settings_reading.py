"""Reads the environment once, and names every missing or wrong setting at once."""

import os
from collections.abc import Callable, Mapping
from typing import TypeVar

from pydantic import ValidationError

from credstore_pipeline.core.errors import SettingsError
from credstore_pipeline.settings import POSTGRES_PARTS, SeedSettings, Settings, TargetSettings
from credstore_pipeline.settings_files import read_secret_files

Kind = TypeVar("Kind", bound=TargetSettings)


def secret_names(kind: type[TargetSettings] = Settings) -> list[str]:
    """Names of the settings that hold a secret, each also readable from `NAME_FILE`."""
    fields = kind.model_fields.items()
    return [
        name
        for name, field in fields
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra["secret"]
    ]


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the environment once.

    Raises:
        SettingsError: Naming every missing or wrong variable at once, without values.
    """
    return _read(Settings, environ, _missing_together)


def read_seed_settings(environ: Mapping[str, str] = os.environ) -> SeedSettings:
    """Read what seeding needs, which is no legacy store, and no key unless there is a password to seal.

    Raises:
        SettingsError: As `read_settings`.
    """
    return _read(SeedSettings, environ, _missing_target)


def _read(kind: type[Kind], environ: Mapping[str, str], missing: Callable[[Mapping[str, str]], dict[str, str]]) -> Kind:
    secrets, faults = read_secret_files(secret_names(kind), environ)
    known = {**environ, **secrets}
    faults |= missing(known)
    try:
        settings = kind(**secrets)
    except ValidationError as error:
        for line in error.errors(include_url=False, include_input=False, include_context=False):
            wrong = "not set" if line["type"] == "missing" else str(line["msg"]).removeprefix("Value error, ")
            faults[str(line["loc"][0])] = wrong
        raise refused(faults) from None
    if faults:
        raise refused(faults)
    return settings


def refused(faults: Mapping[str, str]) -> SettingsError:
    """The one error for all faults of the settings: name and what is wrong, never a value."""
    lines = "\n".join(f"  {name}: {wrong}" for name, wrong in sorted(faults.items()))
    return SettingsError(
        "settings",
        f"{len(faults)} missing or wrong\n{lines}\n",
        state="Nothing was read or written.",
        todo="Set them (docs/settings.md says what each means) and launch again.",
    )


def _missing_target(known: Mapping[str, str]) -> dict[str, str]:
    if any(known.get(name) for name in ("CREDSTORE_POSTGRES_URL", *(f"POSTGRES_{part}" for part in POSTGRES_PARTS))):
        return {}
    return {
        "CREDSTORE_POSTGRES_URL": "not set, nor any of POSTGRES_HOST, _PORT, _DB, _USER, _PASSWORD: name the target "
        "(the word `embedded` starts the embedded server)"
    }


def _missing_together(known: Mapping[str, str]) -> dict[str, str]:
    faults = _missing_target(known)
    if not (known.get("CREDSTORE_TARGET_KEY") or known.get("NETRAVEN_ENCRYPTION_KEY")):
        faults["CREDSTORE_TARGET_KEY"] = (
            "not set, nor NETRAVEN_ENCRYPTION_KEY: without a key the target would hold plaintext"
        )
    if known.get("CREDSTORE_KEY_BACKUP") and not known.get("CREDSTORE_KEY_BACKUP_PASSWORD"):
        faults["CREDSTORE_KEY_BACKUP_PASSWORD"] = "not set, and CREDSTORE_KEY_BACKUP needs it"
    return faults
