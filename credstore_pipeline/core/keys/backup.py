"""The application's exported key backup: one JSON file, its keys sealed under a password.

Format: docs/legacy-formats.md, "Key backup".
"""

import json
from pathlib import Path

from credstore_pipeline.core.errors import KeyRingError
from credstore_pipeline.core.keys.derivations import Derivation, raw_key
from credstore_pipeline.core.keys.directory import is_application_id
from credstore_pipeline.core.keys.key import Key

WHERE = "CREDSTORE_KEY_BACKUP"
FORMAT = "netraven_key_backup"


def read_key_backup(path: Path, password: str | None) -> dict[str, bytes]:
    """Return the backup's Fernet keys, 32 bytes each, by the application's key ids (else `backup:<position>`).

    Args:
        path: The exported file.
        password: What it was exported with; padded as the application pads a key string.

    Raises:
        KeyRingError: If the file cannot be read, is no key backup, the password does not open it, or an
            entry in it holds no key.
    """
    if not password:
        raise KeyRingError(f"{WHERE}_PASSWORD", "is missing.", todo=f"Set it, or unset {WHERE}.")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise KeyRingError(
            WHERE, f"{path.name} cannot be read ({error.strerror}).", todo="Name a readable file, or unset it."
        ) from None
    except UnicodeDecodeError:
        text = ""
    outer = _object(text)
    sealed = outer.get("encrypted_data")
    if outer.get("format") != FORMAT or not isinstance(sealed, str):
        raise KeyRingError(WHERE, f"{path.name} is no {FORMAT} file.", todo="Name the application's exported backup.")
    key = Key("backup password", Derivation.PBKDF2_ENV, string=password)
    opened = key.open(sealed.encode(errors="replace"))
    if opened is None:
        raise KeyRingError(
            WHERE,
            f"the password does not open {path.name}.",
            todo=f"Set {WHERE}_PASSWORD to the password of its export.",
        )
    keys = _object(opened.decode(errors="replace")).get("keys")
    if not isinstance(keys, dict):
        raise KeyRingError(WHERE, f"{path.name} opens, and lists no keys.", todo="Export the backup anew.")
    return _materials(keys, path.name)


def _materials(keys: dict[str, object], file_name: str) -> dict[str, bytes]:
    materials: dict[str, bytes] = {}
    for position, (key_id, text) in enumerate(keys.items(), start=1):
        material = raw_key(text.strip()) if isinstance(text, str) else None
        if material is None:
            raise KeyRingError(
                WHERE, f"entry {position} of {file_name} holds no Fernet key.", todo="Export the backup anew."
            )
        materials[key_id if is_application_id(key_id) else f"backup:{position}"] = material
    return materials


def _object(text: str) -> dict[str, object]:
    """Return a JSON object, or an empty one for anything else."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
