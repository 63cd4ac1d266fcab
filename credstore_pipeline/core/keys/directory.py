"""The application's key directory: `<key id>.key` files and `key_metadata.json`.

Format: docs/legacy-formats.md, "Key directory".
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from credstore_pipeline.core.errors import KeyRingError
from credstore_pipeline.core.keys.derivations import raw_key

WHERE = "CREDSTORE_KEY_DIR"
METADATA = "key_metadata.json"

_APPLICATION_ID = re.compile(r"(?:key|env)_[0-9a-f]{8}")
_SAFE_STEM = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_LONGEST_FILE_BYTES = 1_000_000


@dataclass(frozen=True, repr=False)
class KeyDirectory:
    """What a key directory holds.

    Attributes:
        keys: Fernet keys, 32 bytes each, by public key id: the application's own id, or `file:<stem>`.
        named: Every key id that the metadata lists, with or without a file.
        active: The id under which the application seals new passwords, if the metadata says.
        warnings: What looks wrong without hindering anything; safe to show.
    """

    keys: dict[str, bytes]
    named: tuple[str, ...] = ()
    active: str | None = None
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Show how many, never which bytes."""
        return f"KeyDirectory({len(self.keys)} keys)"


def is_application_id(text: str) -> bool:
    """Tell whether a key id has the form that the application makes: `key_<8>` or `env_<8>`."""
    return _APPLICATION_ID.fullmatch(text) is not None


def read_key_directory(folder: Path) -> KeyDirectory:
    """Read every key of the directory; files that are no keys are left and named in `warnings`.

    A file that the application would have made (`key_<8>.key`) must hold a key: a cut or mangled one
    would otherwise show only as passwords that nothing opens. An id without a file is no error, the
    application itself goes on without it.

    Raises:
        KeyRingError: If the folder or a file in it cannot be read, or a key file holds no key.
    """
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix == ".key" and not path.is_dir())
        metadata_text = _read(folder / METADATA) if (folder / METADATA).exists() else None
    except OSError as error:
        raise KeyRingError(
            WHERE, f"the folder cannot be read ({error.strerror}).", todo="Name a readable folder, or unset it."
        ) from None
    keys: dict[str, bytes] = {}
    warnings: list[str] = []
    left = 0
    for path in files:
        material = raw_key(_read(path).strip())
        ours = is_application_id(path.stem)
        if material is None and ours:
            raise KeyRingError(
                WHERE,
                f"{path.name} holds no Fernet key (44 characters of urlsafe base64).",
                todo="Restore the file from a backup of the key directory, or move it elsewhere.",
            )
        if material is None or not _SAFE_STEM.fullmatch(path.stem):
            left += 1
        else:
            keys[path.stem if ours else f"file:{path.stem}"] = material
    if left:
        warnings.append(f"{WHERE}: {left} .key file(s) that are not the application's hold no key and were left aside.")
    named, active, problem = _read_metadata(metadata_text)
    if problem:
        warnings.append(f"{WHERE}: {METADATA} {problem}; the .key files were read without it.")
    return KeyDirectory(keys, named, active, tuple(warnings))


def _read(path: Path) -> str:
    """Return a file's text; bytes that are not UTF-8 come as replacement characters, which no key holds."""
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST_FILE_BYTES).decode(errors="replace")
    except OSError as error:
        raise KeyRingError(
            WHERE, f"{path.name} cannot be read ({error.strerror}).", todo="Make it readable, or move it elsewhere."
        ) from None


def _read_metadata(text: str | None) -> tuple[tuple[str, ...], str | None, str]:
    """Return (ids of the application's form, active id, what is wrong)."""
    if text is None:
        return (), None, ""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return (), None, "is not JSON"
    keys = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(keys, dict):
        return (), None, "lists no keys"
    active = content.get("active_key_id")
    known = tuple(sorted(key_id for key_id in keys if is_application_id(key_id)))
    return known, active if isinstance(active, str) and is_application_id(active) else None, ""
