"""A store with every trouble a row can have, all of its rows in the -wal only."""

from typing import Any

from credstore_pipeline.demo.encodings import Stored, blob, default_key
from credstore_pipeline.demo.keys import KeyBook
from credstore_pipeline.demo.maker import EITHER, MAPPED, Maker, RawText

KEY_STRING = "dirty-store-key-2025"
EPOCH = 1_742_515_200
"""Seconds: 21 March 2025, 00:00 UTC."""

NAMED: list[tuple[str, dict[str, Any], str]] = [
    ("id is NULL", {"id": None}, "missing_value"),
    ("id is empty", {"id": ""}, "missing_value"),
    ("id is no UUID", {"id": "core-router-login"}, "loaded"),
    ("id of 36 wide characters", {"id": "ü" * 36}, "loaded"),
    ("id of 37 characters", {"id": "0123456789" * 3 + "abcdefg"}, "value_too_long"),
    ("id with blanks beyond the limit", {"id": "f" * 36 + "  "}, "value_too_long"),
    ("name is NULL", {"name": None}, "missing_value"),
    ("username is NULL", {"username": None}, "missing_value"),
    ("name of 255 wide characters", {"name": "é" * 255}, "loaded"),
    ("name of 256 characters", {"name": "n" * 256}, "value_too_long"),
    ("username of 256 characters", {"username": "u" * 256}, "value_too_long"),
    ("key file of 1,025 characters", {"key_file": "/" + "k" * 1024}, "value_too_long"),
    ("NUL in the name", {"name": "before\0after"}, "invalid_text"),
    ("NUL in the username", {"username": "root\0"}, "invalid_text"),
    ("NUL in the description", {"description": "\0"}, "invalid_text"),
    ("NUL in the key file", {"key_file": "/a\0b"}, "invalid_text"),
    ("name is not UTF-8", {"name": RawText(b"caf\xe9")}, "invalid_text"),
    ("description is a BLOB of text", {"description": b"kept as bytes"}, EITHER),
    ("name is a number", {"name": 4711}, EITHER),
    ("description is NULL", {"description": None}, "loaded"),
    ("blanks are kept", {"name": "  padded  ", "username": "user "}, "loaded"),
    ("comma, quote, backslash", {"name": 'a,"b"\\N', "description": 'x"",\r\n\\.\n'}, "loaded"),
]
"""What stands in columns of text: the trouble, the columns, the row's fate."""

COUNTED: list[tuple[str, dict[str, Any]]] = [
    ("counters are NULL", {"success_count": None, "failure_count": None}),
    ("counters are text", {"success_count": "many", "failure_count": ""}),
    ("counters are digits as text", {"success_count": "12", "failure_count": " 3 "}),
    ("counters beyond int4", {"success_count": 2**31, "failure_count": 2**62}),
    ("counters at the limit", {"success_count": 2**31 - 1, "failure_count": 0}),
    ("counters below zero", {"success_count": -3, "failure_count": -1}),
    ("counters are fractions", {"success_count": 2.5, "failure_count": 1e300}),
    ("counters are infinite", {"success_count": float("inf"), "failure_count": float("-inf")}),
    ("counters are BLOBs", {"success_count": b"7", "failure_count": b"\xff"}),
    ("use_keys is NULL", {"use_keys": None}),
    ("use_keys is 2", {"use_keys": 2}),
    ("use_keys is text", {"use_keys": "true"}),
    ("use_keys with a file", {"use_keys": 1, "key_file": "/home/operator/.ssh/id_rsa"}),
]
"""Numbers and booleans: all repaired, all loaded."""

DATED: list[tuple[str, dict[str, Any]]] = [
    ("no times at all", dict.fromkeys(["last_used", "last_success", "created_at", "updated_at"])),
    ("created_at is NULL", {"created_at": None}),
    ("updated_at is NULL", {"updated_at": None}),
    ("created_at is empty", {"created_at": ""}),
    ("both times are words", {"created_at": "yesterday", "updated_at": "never"}),
    ("last_used is a word", {"last_used": "unknown"}),
    ("last_used is a BLOB", {"last_used": b"2025-03-20 10:00:00"}),
    ("year zero", {"last_success": "0000-00-00 00:00:00"}),
    ("impossible day", {"last_failure": "2025-02-30 00:00:00"}),
    ("epoch seconds", {"created_at": EPOCH, "updated_at": EPOCH + 3600}),
    ("epoch fractions", {"last_used": EPOCH + 0.25}),
    ("offset", {"created_at": "2025-03-20 10:00:00+02:00", "updated_at": "2025-03-20T23:30:00.5-05:30"}),
    ("offset over midnight", {"last_used": "2025-03-20 00:30:00.000001+01:00"}),
    ("Z", {"created_at": "2025-03-20T10:00:00Z", "last_used": "2025-03-20 10:00:00.123456Z"}),
    ("date alone", {"created_at": "2025-03-20"}),
    ("T and no fraction", {"created_at": "2025-03-20T10:00:00"}),
    ("three digits", {"last_used": "2025-03-20 10:00:00.125"}),
]
"""Times: all repaired or read as what they are, all loaded."""


def dirty(seed: int) -> Maker:
    """Rows no constraint ever looked at; the passwords themselves are in order."""
    maker = Maker("dirty", "hand-made", "tables made by hand, a writer that was copied while it ran", seed, wal=True)
    maker.keys = KeyBook(KEY_STRING)
    key = default_key(KEY_STRING)
    rows = [*NAMED, *((name, columns, "loaded") for name, columns in [*COUNTED, *DATED])]
    ids = []
    for place, (trouble, columns, fate) in enumerate(rows):
        stored = maker.pen.envelope(maker.secret(f"dirty-{place}"), key)
        ids.append(maker.credential(columns.get("name", trouble), stored, fate=fate, note=trouble, **_rest(columns)))
    maker.credential("password is a number", number(12345678))
    maker.credential("password is a fraction", number(2.5))
    maker.credential("password is a BLOB of text", blob(b"kept as bytes \xc3\xa9", "kept as bytes é"))
    maker.credential("password is a BLOB", blob(b"\x80\x81", None), fate="invalid_text")
    _links(maker, _tags(maker), ids, [fate for *_, fate in rows])
    return maker


def number(value: float) -> Stored:
    """A password that a table without types kept as a number."""
    return Stored(value, str(value), "number")


def _rest(columns: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in columns.items() if name != "name"}


def _tags(maker: Maker) -> dict[str, str]:
    tags = {
        "routers": maker.tag("Routers", color="#FF5733"),
        "again": maker.tag("Routers", color="#000000", fate=MAPPED),
        "blank": maker.tag("Routers "),
        "lower": maker.tag("routers"),
        "default": maker.tag("Default", id="tag-default", color="#6366F1"),
        "bare": maker.tag("no colour", color=None, description=None),
        "wide": maker.tag("é" * 50),
        "undated": maker.tag("undated", created_at=None, updated_at="soon"),
        "long": maker.tag("t" * 51, fate="value_too_long"),
        "colour": maker.tag("colourful", color="bright-blue", fate="value_too_long"),
        "long id": maker.tag("long id", id="i" * 37, fate="value_too_long"),
        "nul": maker.tag("nul\0", fate="invalid_text"),
        "latin": maker.tag(RawText(b"caf\xe9"), fate="invalid_text"),
        "nameless": maker.tag(None, fate="missing_value"),
    }
    maker.tag("no id", id=None, fate="missing_value")
    return tags


def _links(maker: Maker, tags: dict[str, str], ids: list[str], fates: list[str]) -> None:
    good = [row for row, fate in zip(ids, fates, strict=True) if fate == "loaded"]
    bad = [row for row, fate in zip(ids, fates, strict=True) if fate not in ("loaded", "missing_value", EITHER)]
    for place, name in enumerate(("routers", "again", "blank", "lower", "default", "bare", "wide", "undated")):
        for step in range(4):
            maker.link(good[(5 * place + step) % len(good)], tags[name], float(step % 3))
    for name in ("long", "colour", "long id", "nul", "latin", "nameless"):
        maker.link(good[0], tags[name], 1.0, fate="parent_quarantined")
    for row in bad:
        maker.link(row, tags["routers"], 1.0, fate="parent_quarantined")
    first, second, third = good[:3]
    for usable in (None, float("inf"), float("-inf"), -3.5, "12", 1e308):
        maker.link(first, tags["lower"], usable)
    for unusable in ("high", "", b"\x01"):
        maker.link(second, tags["lower"], unusable, fate="invalid_number")
    for place in range(3):
        maker.link(third, tags["wide"], 7.0, success_count=place)  # one pair three times, as the real API writes it
    maker.link(first, tags["bare"], 2.0, success_count=None, failure_count="few", created_at=None, last_used="never")
    maker.link(second, tags["bare"], 2.0, created_at=EPOCH, updated_at="2025-03-20T10:00:00Z")
    maker.link(third, tags["bare"], 2.0, id=None)
    maker.link(first, tags["default"], 2.0, id="not-a-uuid")
    maker.link(second, tags["blank"], 2.0, id="l" * 37, fate="value_too_long")
    maker.link(maker.grains.uuid("nobody"), tags["routers"], fate="orphan_credential")
    maker.link(first, "ghost-tag", fate="unknown_tag")
    maker.link(None, tags["routers"], fate="missing_value")
    maker.link(first, None, fate="missing_value")
