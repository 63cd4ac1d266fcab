"""A store in which every secret, and every value that must not be quoted, is a canary; and the search for them.

All canaries hold one word that stands nowhere else, so that one search finds each of them in each disguise.
"""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from credstore_pipeline.demo.encodings import (
    HEAD_SALTS,
    FernetKey,
    as_blob,
    blob,
    default_key,
    env_key,
    head_key,
    plaintext,
)
from credstore_pipeline.demo.files import write_database
from credstore_pipeline.demo.keys import KeyBook
from credstore_pipeline.demo.maker import Maker, RawText
from credstore_pipeline.demo.stores import Store
from credstore_pipeline.settings_reading import secret_names

WORD = "KanarienvogelSingt"
PIECE = 9
"""So many characters of the word give a canary away: messages may cut what they quote."""


def canary(name: str) -> str:
    """A secret that needs escaping in JSON, in SQL and in a URL."""
    return f"{WORD}\"'\\ü%/{name}"


def raw_key(name: str) -> FernetKey:
    """A Fernet key whose 44 characters begin with the word."""
    text = (WORD + name.title().replace(" ", "")).ljust(43, "x")[:43] + "="
    return FernetKey("", base64.urlsafe_b64decode(text))


TARGET_KEY, APPLICATION_KEY, FORMER_KEY = canary("target key"), canary("application key"), canary("former key")
BACKUP_PASSWORD, POSTGRES_PASSWORD = canary("backup password"), canary("postgres password")
RAW = raw_key("raw")
IN_DIRECTORY = FernetKey("key_c0ffee01", raw_key("directory").material)
IN_BACKUP = FernetKey("key_c0ffee02", raw_key("backup").material)
LOST = default_key("a key that nobody has", known=False)


def aviary(folder: Path) -> Store:
    """Build the store: a canary in every encoding, in every refused row, and in every value that is repaired."""
    maker = Maker("canaries", "hand-made", "tests", seed=7)
    maker.keys = KeyBook(APPLICATION_KEY, [IN_DIRECTORY], [IN_BACKUP], backup_password=BACKUP_PASSWORD)
    default, pen = default_key(APPLICATION_KEY), maker.pen
    tag = maker.tag("birds")
    loaded = [
        ("plaintext", plaintext(canary("plaintext"))),
        ("token", pen.bare(canary("token"), default)),
        ("envelope", pen.envelope(canary("envelope"), default)),
        ("env", pen.envelope(canary("env"), env_key(APPLICATION_KEY))),
        ("newest", pen.bare(canary("newest"), head_key(APPLICATION_KEY, HEAD_SALTS[0]))),
        ("former", pen.envelope(canary("former"), default_key(FORMER_KEY))),
        ("raw", pen.bare(canary("raw"), RAW)),
        ("directory", pen.envelope(canary("directory"), IN_DIRECTORY)),
        ("backup", pen.envelope(canary("backup"), IN_BACKUP)),
        ("twice", pen.wrap(pen.envelope(canary("twice"), default), IN_DIRECTORY)),
        ("blob", blob(canary("blob").encode(), canary("blob"))),
        ("sealed blob", as_blob(pen.envelope(canary("sealed blob"), default))),
        ("as the target wants it", pen.envelope(canary("kept"), default_key(TARGET_KEY))),
    ]
    refused = [
        ("lost", pen.envelope(canary("lost"), LOST)),
        ("lost inside", pen.wrap(pen.envelope(canary("lost inside"), LOST), default)),
        ("too long", plaintext(canary("too long") + "x" * 480)),
        ("no text", blob(canary("no text").encode() + b"\xff", None)),
        ("sealed, no text", pen.envelope(canary("sealed, no text").encode() + b"\xff", default)),
    ]
    rows = [maker.credential(name, stored) for name, stored in [*loaded, *refused]]
    value = canary("value")
    rows.append(
        maker.credential(
            "repaired", pen.envelope(canary("repaired"), default), success_count=value, failure_count=value,
            last_used=value, last_success=value, created_at=value, updated_at=value, use_keys=value,
        )
    )  # fmt: skip
    maker.credential(RawText(value.encode() + b"\xe9"), plaintext(canary("bad name")))
    maker.credential("bad description", plaintext(canary("bad description")), description=value + "\0")
    maker.credential("long key file", plaintext(canary("long key file")), key_file=value + "x" * 1100)
    for row in rows:
        maker.link(row, tag, 1.0)
    maker.link(rows[0], tag, value, success_count=value)
    maker.link(rows[0], tag, 2.0, success_count=value, last_failure=value, updated_at=value)
    maker.tag(value + "x" * 60)
    maker.tag("bad colour", color=value)

    folder.mkdir()
    write_database(maker, folder / "store.db")
    maker.keys.write(folder, pen)
    env = maker.keys.env() | {"source_keys": [FORMER_KEY, RAW.text]}
    return Store(folder, {"loaded": [name for name, _ in loaded]}, env)


def needles(word: str = WORD) -> set[bytes]:
    """How the word's beginning looks in clear, as JSON, in base64 at each offset, as hex, and as a raw key's bytes."""
    start = word[:PIECE]
    found = {
        start.encode(),
        json.dumps(start).strip('"').encode(),
        start.encode("utf-16-le"),
        start.encode("utf-16-be"),
    }
    for offset in range(3):
        coded = base64.b64encode(b"\0" * offset + start.encode())
        # The first and the last group mix with whatever stands around it.
        first, last = 4 * (offset > 0), len(coded) - 4 * ((offset + PIECE) % 3 > 0)
        found |= {coded[first:last], coded[first:last].translate(bytes.maketrans(b"+/", b"-_"))}
    as_key = base64.urlsafe_b64decode(word[: 4 * (PIECE // 4)])
    for part in (start.encode(), as_key):
        found |= {part.hex().encode(), part.hex().upper().encode()}
    # A raw key without its base64: six bytes are few, so more of the word is taken.
    return found | {base64.urlsafe_b64decode(word[:16])}


@dataclass(frozen=True)
class Found:
    """Where a canary was found, and what stands around it."""

    place: str
    around: bytes


def search(content: bytes, place: str, wanted: Iterable[bytes]) -> list[Found]:
    """Every needle's first occurrence."""
    found = []
    for needle in wanted:
        at = content.find(needle)
        if at >= 0:
            found.append(Found(place, content[max(0, at - 80) : at + 160]))
    return found


def search_folder(folder: Path, wanted: Iterable[bytes]) -> list[Found]:
    """Search every file below a folder; what is gone meanwhile was not kept."""
    found: list[Found] = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            try:
                found += search(path.read_bytes(), str(path), wanted)
            except FileNotFoundError:
                continue
    return found


def settings() -> dict[str, str]:
    """Every secret setting as a canary, but for the URL and the password of PostgreSQL, which the lab sets."""
    told: dict[str, Any] = {
        "CREDSTORE_TARGET_KEY": TARGET_KEY,
        "NETRAVEN_ENCRYPTION_KEY": APPLICATION_KEY,
        "CREDSTORE_SOURCE_KEYS": json.dumps([FORMER_KEY, RAW.text]),
        "CREDSTORE_KEY_BACKUP_PASSWORD": BACKUP_PASSWORD,
        **{f"CREDSTORE_SEED_{role}_PASSWORD": canary(f"seed {role}") for role in ("ADMIN", "BACKUP", "MONITOR")},
        "CREDSTORE_ROLLBACK_KEY": canary("rollback key"),
        # Nobody listens there.
        "CREDSTORE_FAILURE_WEBHOOK": f"http://127.0.0.1:9/{WORD}",
    }
    assert {*told, "CREDSTORE_POSTGRES_URL", "POSTGRES_PASSWORD"} == set(secret_names())
    return told
