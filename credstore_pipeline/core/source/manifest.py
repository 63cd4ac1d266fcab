"""What is written beside a snapshot: enough to restore it without keys, and to know it again with one."""

import hashlib
import hmac
import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from credstore_pipeline.core.errors import CouldNotCheck, SnapshotNotProven
from credstore_pipeline.core.source.digest import ContentDigest
from credstore_pipeline.core.source.inspect import SourceShape

MANIFEST_NAME = "manifest.json"
_FORMAT = 1
_PERSON = b"credstore-manif"


@dataclass(frozen=True)
class Manifest:
    """A snapshot's facts.

    Attributes:
        name: The snapshot's name: its folder.
        source_path: The store that it was read from.
        began_at: Target's clock, aware, before the first byte was read.
        ended_at: Target's clock, aware, after the last byte was read.
        sha256: Of the file, for a restore without keys (`sha256sum store.db`).
        size_bytes: Of the file.
        shape: What tables there are; carries the flavour.
        digest: Keyed digest of the content, with the rows of each table.
        way: How the source was read: `in place` or `private copy`.
        writers_blocked_s: Seconds for which the source's writers had to wait at most.
        pipeline_version: Which made it.
    """

    name: str
    source_path: str
    began_at: datetime
    ended_at: datetime
    sha256: str
    size_bytes: int
    shape: SourceShape
    digest: ContentDigest
    way: str
    writers_blocked_s: float
    pipeline_version: str

    @property
    def counts(self) -> dict[str, int]:
        """Rows of each table that exists."""
        return {name: rows for name, (rows, _) in self.digest.tables.items()}

    def write(self, folder: Path, key: bytes) -> None:
        """Write it with mode 0600, sealed: changed by anyone without the key, it is not read again."""
        facts = self._as_json()
        text = json.dumps({**facts, "seal": _seal(facts, key)}, indent=2) + "\n"
        with open(folder / MANIFEST_NAME, "x", opener=lambda p, flags: os.open(p, flags, 0o600)) as file:
            file.write(text)

    def _as_json(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "counts": self.counts,
            "flavour": self.shape.flavour,
            **vars(self),
            "began_at": self.began_at.isoformat(),
            "ended_at": self.ended_at.isoformat(),
            "shape": self.shape.as_json(),
            "digest": self.digest.as_json(),
        }


def read_manifest(folder: Path, key: bytes) -> Manifest:
    """Read a snapshot's manifest and its seal.

    Raises:
        CouldNotCheck: If it is missing or no manifest of this format.
        SnapshotNotProven: If its seal is not of this key.
    """
    where = f"snapshot {folder.name}"
    try:
        facts = json.loads((folder / MANIFEST_NAME).read_text("utf-8"))
        seal = facts.pop("seal")
        known = facts["format"] == _FORMAT
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise CouldNotCheck(where, "its manifest is missing or cannot be read.", todo="Take a new snapshot.") from None
    if not known:
        raise CouldNotCheck(where, "its manifest is of another version of this pipeline.", todo="Use that version.")
    if not hmac.compare_digest(str(seal), _seal(facts, key)):
        raise SnapshotNotProven(
            where,
            "its manifest was altered, or made under another target key.",
            todo="If `rotate_target_key` was launched, launch it again, with the former key among "
            "CREDSTORE_SOURCE_KEYS: it may have ended before it wrote the manifest. Otherwise give the target key of "
            "that time, or take a new snapshot.",
        )
    for derived in ("format", "counts", "flavour"):
        del facts[derived]
    return Manifest(
        **{
            **facts,
            "began_at": datetime.fromisoformat(facts["began_at"]),
            "ended_at": datetime.fromisoformat(facts["ended_at"]),
            "shape": SourceShape.from_json(facts["shape"]),
            "digest": ContentDigest.from_json(facts["digest"]),
        }
    )


def _seal(facts: dict[str, Any], key: bytes) -> str:
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), key=key, digest_size=32, person=_PERSON).hexdigest()
