"""Writes key directories and backups as the application's key manager does (docs/legacy-formats.md, "Keys")."""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from credstore_pipeline.demo.encodings import FernetKey, Pen, key_source

FIRST_KEY = datetime(2025, 3, 22, 7, 30, 4, 572664)
METADATA = "key_metadata.json"
BACKUP = "key_backup.json"


@dataclass
class KeyBook:
    """What a store's keys are and what of them lies on disk.

    Attributes:
        key_string: NETRAVEN_ENCRYPTION_KEY; None when the application ran without one.
        files: Keys with a file in the key directory; an `env_` key is there only after a backup was imported.
        environment: Keys that the metadata names and no file holds.
        active: The key id that seals new passwords; it may name a key without material.
        backup_password: Makes a key backup of all keys beside the directory.
        source_keys: Key strings and raw Fernet keys that the migration is to be given besides.
        lost: A key string that nobody has any more; written down so that tests can search for it.
    """

    key_string: str | None = None
    files: list[FernetKey] = field(default_factory=list)
    environment: list[FernetKey] = field(default_factory=list)
    active: str | None = None
    backup_password: str | None = None
    source_keys: list[str] = field(default_factory=list)
    lost: str | None = None

    def metadata(self) -> dict[str, object]:
        """The content of the metadata file: ids, times and origins, no key."""
        keys = {}
        for place, key in enumerate([*self.environment, *self.files]):
            at = (FIRST_KEY + timedelta(days=place)).isoformat()
            source = "file" if key in self.files else key_source(key)
            keys[key.key_id] = {
                "id": key.key_id,
                "created_at": at,
                "source": source,
                "active": key.key_id == self.active,
            }
            if key in self.files and key.key_id.startswith("env_"):
                keys[key.key_id]["imported_at"] = at
        return {"keys": keys, "active_key_id": self.active, "last_updated": FIRST_KEY.isoformat()}

    def write(self, folder: Path, pen: Pen) -> None:
        """Key files and metadata stand in `folder/keys`, a backup beside it; nothing is written without keys."""
        if self.files:
            place = folder / "keys"
            place.mkdir(mode=0o700)
            for key in self.files:
                _write_private(place / f"{key.key_id}.key", key.text)
            _write_private(place / METADATA, json.dumps(self.metadata(), indent=2))
        if self.backup_password is not None:
            keys = [*self.environment, *self.files]
            _write_private(folder / BACKUP, pen.key_backup(keys, self.backup_password, self.active, FIRST_KEY))

    def env(self) -> dict[str, object]:
        """What an operator has to know to migrate the store, as `env.json` says it."""
        told: dict[str, object] = {"encryption_key": self.key_string, "key_dir": "keys" if self.files else None}
        if self.backup_password is not None:
            told |= {"key_backup": BACKUP, "key_backup_password": self.backup_password}
        if self.source_keys:
            told["source_keys"] = self.source_keys
        if self.lost is not None:
            told["lost_key_for_reference_only"] = self.lost
        return told


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
