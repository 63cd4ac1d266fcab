"""From what the operator gave to the keys of a ring, in the order they are tried."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from credstore_pipeline.core.errors import KeyRingError
from credstore_pipeline.core.keys import derivations
from credstore_pipeline.core.keys.backup import WHERE as BACKUP
from credstore_pipeline.core.keys.backup import read_key_backup
from credstore_pipeline.core.keys.derivations import PUBLISHED_KEY, Derivation
from credstore_pipeline.core.keys.directory import WHERE as DIRECTORY
from credstore_pipeline.core.keys.directory import KeyDirectory, read_key_directory
from credstore_pipeline.core.keys.key import DEFAULT, Key

if TYPE_CHECKING:
    # Workers import this package, and deployment.py imports SQLAlchemy.
    from credstore_pipeline.core.deployment import KeyMaterial


def gather(material: KeyMaterial) -> tuple[list[Key], list[str]]:
    """Return all keys, the target key under sha256 first, and what looks wrong about the key material.

    Public key ids, none of which holds any part of a key beyond what the application itself writes:

    * `default`: the target key, sha256; `application_key`, `source_keys[<n>]`: those strings, sha256;
      `netraven-dev-key`: the application's published default, always tried, and under its own name
      wherever it was given, except as the target key;
    * `<one of those>:raw`: the same string taken as a Fernet key in its own right;
    * `key_<8>`, `env_<8>` (derivation file or backup): as the application named them; `file:<stem>` and
      `backup:<position>` for keys under other names;
    * `env_<8>` (derivation pbkdf2_env): as the application names a string's PBKDF2 key;
    * `<string's id>+<salt>`: the newest application's derivation; shipped salts by name, others as
      `salts[<n>]`.

    PBKDF2 is run only to open a key backup.

    Raises:
        KeyRingError: If the target key is missing, a string is no valid Unicode, or the key directory
            or key backup cannot be read.
    """
    strings = _strings(material)
    directory = read_key_directory(material.key_dir) if material.key_dir else KeyDirectory({})
    backup: dict[str, bytes] = {}
    if material.key_backup:
        _check_text(f"{BACKUP}_PASSWORD", material.key_backup_password or "")
        backup = read_key_backup(material.key_backup, material.key_backup_password)
    for salt in material.salts:
        _check_text("salts", salt)
    keys = [*_quick_keys(strings, directory, backup), *_slow_keys(strings, material.salts)]
    return keys, list(_warnings(strings, directory, backup))


def _strings(material: KeyMaterial) -> dict[str, str]:
    """Return key string -> public id, in the order they are tried; empty strings are no keys."""
    if not material.target_key:
        raise KeyRingError(
            "CREDSTORE_TARGET_KEY",
            "no key to seal with; plaintext is never written.",
            todo="Set it, or NETRAVEN_ENCRYPTION_KEY.",
        )
    given = [("CREDSTORE_TARGET_KEY", DEFAULT, material.target_key)]
    given.append(("NETRAVEN_ENCRYPTION_KEY", "application_key", material.application_key or ""))
    for position, string in enumerate(material.source_keys):
        given.append((f"CREDSTORE_SOURCE_KEYS[{position}]", f"source_keys[{position}]", string))
    strings: dict[str, str] = {}
    for setting, key_id, string in given:
        _check_text(setting, string)
        if string:
            strings.setdefault(string, PUBLISHED_KEY if string == PUBLISHED_KEY and key_id != DEFAULT else key_id)
    return strings


def _quick_keys(strings: dict[str, str], directory: KeyDirectory, backup: dict[str, bytes]) -> Iterator[Key]:
    """Yield the keys that cost nothing to derive, each key's bytes once."""
    seen: set[bytes] = set()

    def once(key: Key) -> Iterator[Key]:
        if key.material() not in seen:
            seen.add(key.material())
            yield key

    for string, key_id in strings.items():
        yield from once(Key(key_id, Derivation.SHA256, string=string))
    yield from once(Key(PUBLISHED_KEY, Derivation.SHA256, string=PUBLISHED_KEY, implied=True))
    # A raw key that also lies in the directory or the backup goes by the application's name for it.
    named = {*directory.keys.values(), *backup.values()}
    for string, key_id in strings.items():
        raw = derivations.raw_key(string)
        if raw is not None and raw not in named:
            yield from once(Key(f"{key_id}:raw", Derivation.RAW, material=raw))
    for key_id, raw in directory.keys.items():
        yield from once(Key(key_id, Derivation.FILE, material=raw))
    for key_id, raw in backup.items():
        yield from once(Key(key_id, Derivation.BACKUP, material=raw))


def _slow_keys(strings: dict[str, str], salts: tuple[str, ...]) -> Iterator[Key]:
    """Yield the PBKDF2 keys, not yet derived, the published default last in each group."""
    everything = {**strings, PUBLISHED_KEY: strings.get(PUBLISHED_KEY, PUBLISHED_KEY)}
    for string in everything:
        implied = string not in strings
        yield Key(derivations.env_key_id(string), Derivation.PBKDF2_ENV, string=string, implied=implied)
    named_salts = {salt: salt for salt in derivations.HEAD_SALTS}
    for position, salt in enumerate(salts):
        named_salts.setdefault(salt, f"salts[{position}]")
    for salt, salt_id in named_salts.items():
        for string, key_id in everything.items():
            head_id = f"{key_id}+{salt_id}"
            yield Key(head_id, Derivation.PBKDF2_HEAD, string=string, salt=salt, implied=string not in strings)


def _warnings(strings: dict[str, str], directory: KeyDirectory, backup: dict[str, bytes]) -> Iterator[str]:
    if strings.get(PUBLISHED_KEY) == DEFAULT:
        yield f"CREDSTORE_TARGET_KEY is {PUBLISHED_KEY}, which the application publishes: anyone can open the target."
    yield from directory.warnings
    known = {*directory.keys, *backup, *(derivations.env_key_id(string) for string in strings)}
    for key_id in directory.named:
        if key_id not in known:
            yield f"{DIRECTORY}: {key_id} is listed and has no file; passwords sealed under it will not open."
    if directory.active and directory.active not in known:
        yield f"{DIRECTORY}: the active key {directory.active} has no file; the application now stores plaintext."
    for key_id in sorted(directory.keys.keys() & backup.keys()):
        if directory.keys[key_id] != backup[key_id]:
            yield f"{BACKUP}: {key_id} is another key than the one of that id in {DIRECTORY}; both are tried."


def _check_text(setting: str, string: str) -> None:
    try:
        string.encode()
    except UnicodeEncodeError:
        raise KeyRingError(setting, "holds bytes that are not UTF-8.", todo="Give it as UTF-8 text.") from None
