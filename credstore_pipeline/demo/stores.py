"""Builds a named store into a folder, and says which settings migrate it.

A store is `store.db` (perhaps with a -wal), `keys/`, `key_backup.json`, `env.json` (what its operator knows) and
`expected.json` (what it holds, in the clear: made-up stores alone have one).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from credstore_pipeline.demo.big import write_big
from credstore_pipeline.demo.expected import describe
from credstore_pipeline.demo.files import write_database
from credstore_pipeline.demo.flavours import FLAVOURS

DATABASE = "store.db"
BIG = "big"
NAMES = (*FLAVOURS, BIG)
"""Every flavour that `build_store` can make."""


@dataclass(frozen=True, repr=False)
class Store:
    """A made-up store on disk."""

    folder: Path
    expected: dict[str, Any]
    env: dict[str, Any]

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return self.folder / DATABASE

    def environment(self) -> dict[str, str]:
        """The settings that give the pipeline this store and all keys its operator has."""
        told = {"CREDSTORE_SQLITE_PATH": str(self.path)}
        if self.env.get("encryption_key"):
            told["NETRAVEN_ENCRYPTION_KEY"] = self.env["encryption_key"]
        if self.env.get("key_dir"):
            told["CREDSTORE_KEY_DIR"] = str(self.folder / self.env["key_dir"])
        if self.env.get("key_backup"):
            told["CREDSTORE_KEY_BACKUP"] = str(self.folder / self.env["key_backup"])
            told["CREDSTORE_KEY_BACKUP_PASSWORD"] = self.env["key_backup_password"]
        if self.env.get("source_keys"):
            told["CREDSTORE_SOURCE_KEYS"] = json.dumps(self.env["source_keys"])
        return told


def build_store(folder: Path, flavour: str = "demo", *, seed: int = 1, credentials: int = 1000) -> Store:
    """Write one store; the same flavour and seed give the same bytes.

    Args:
        folder: Made if missing; files of a store that stand there already are an error.
        flavour: One of `NAMES`.
        seed: Another seed gives other ids, keys and passwords.
        credentials: How many rows the flavour `big` has; the others have what they show.

    Raises:
        FileExistsError: If the folder holds a store already.
        KeyError: If there is no such flavour.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / DATABASE
    if path.exists():
        raise FileExistsError(f"{path} is there already; a store is never overwritten")
    if flavour == BIG:
        env, expected = write_big(path, credentials, seed=seed)
    else:
        maker = FLAVOURS[flavour](seed)
        write_database(maker, path)
        maker.keys.write(folder, maker.pen)
        env, expected = maker.keys.env(), describe(maker, path)
    for name, content in (("env.json", env), ("expected.json", expected)):
        file = folder / name
        file.touch(mode=0o600)
        file.write_text(json.dumps(content, indent=1))
    return load_store(folder)


def load_store(folder: Path) -> Store:
    """A store that was built before."""
    return Store(
        folder, json.loads((folder / "expected.json").read_text()), json.loads((folder / "env.json").read_text())
    )
