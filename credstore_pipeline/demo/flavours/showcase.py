"""The store of `make demo`: some 40 credentials, each encoding and each trouble once, small enough to read."""

from credstore_pipeline.demo.encodings import HEAD_SALTS, Stored, as_blob, head_key, null, plaintext
from credstore_pipeline.demo.flavours.mixed import TOO_LONG, UNOPENED, Ring
from credstore_pipeline.demo.flavours.script import SEEDED, SEEDED_TAGS
from credstore_pipeline.demo.maker import MAPPED, Maker, RawText

LOST = "demo-key-nobody-has"


def demo(seed: int) -> Maker:
    """Three passwords that no key opens, four rows refused for other reasons, and some thirty that are saved."""
    maker = Maker("demo", "hybrid, orm first", "several versions of the application and an operator", seed, wal=True)
    ring = Ring.made(maker.grains, "demo-key-2025", LOST)
    maker.keys = ring.book(LOST)
    tags = [maker.tag(name, color=color, description=text) for name, color, text in SEEDED_TAGS]
    again = maker.tag("Routers", color="#000000", fate=MAPPED)
    unreadable = maker.tag("t" * 51, fate="value_too_long")
    for name, username, text, priority in SEEDED:
        row = maker.credential(name, plaintext(f"{username}_password"), username=username, description=text)
        for tag in tags:
            maker.link(row, tag, float(priority))
    for place, (name, stored, fate) in enumerate([*_encodings(maker, ring), *_refused(maker, ring)]):
        row = maker.credential(name, stored, fate=fate)
        maker.link(row, tags[place % 3], 100.0 + place % 5 * 10, fate=_follows(fate))
    _rows(maker, [*tags, again, unreadable])
    return maker


def _follows(fate: str) -> str:
    return fate if fate == "loaded" else "parent_quarantined"


def _encodings(maker: Maker, ring: Ring) -> list[tuple[str, Stored, str]]:
    pen, secret = maker.pen, maker.secret
    rows = [
        ("lab console (no password)", null()),
        ("lab console (emptied)", plaintext("")),
        ("access switch, plain", plaintext(secret("plain"))),
        ("access switch, token", pen.bare(secret("token"), ring.default)),
        ("core router, envelope", pen.envelope(secret("envelope"), ring.default)),
        ("core router, key of the environment", pen.envelope(secret("env"), ring.env)),
        ("core router, generated key", pen.envelope(secret("generated"), ring.generated)),
        ("core router, older key", pen.envelope(secret("older"), ring.older)),
        ("firewall, newest version", pen.bare(secret("head"), head_key(ring.key_string, HEAD_SALTS[0]))),
        ("firewall, production salt", pen.bare(secret("head-2"), head_key(ring.key_string, HEAD_SALTS[1]))),
        ("firewall, no key id", pen.envelope(secret("no-key-id"), ring.default, "no_key_id")),
        ("firewall, no version", pen.envelope(secret("no-version"), ring.default, "no_version")),
        ("firewall, compact", pen.envelope(secret("compact"), ring.generated, "compact")),
        ("firewall, blanks around", pen.envelope(secret("blanks"), ring.default, "blanks")),
        ("firewall, names the wrong key", pen.envelope(secret("misnamed"), ring.default, key_id=ring.older.key_id)),
        ("rotated blindly once", pen.wrap(pen.envelope(secret("twice"), ring.default), ring.older)),
        ("rotated blindly twice",
         pen.wrap(pen.wrap(pen.envelope(secret("thrice"), ring.default), ring.older), ring.generated)),
        ("rotated blindly, token inside", pen.wrap(pen.bare(secret("nested"), ring.default), ring.generated)),
        ("imported as bytes", as_blob(pen.envelope(secret("blob"), ring.default))),
        ("password like a token", plaintext("gAAAAABnot-a-token")),
        ("password like an envelope",
         pen.envelope('{"key_id": "default", "encrypted_data": "Zm9v", "version": "1.0"}', ring.default)),
        ("password in several scripts", pen.envelope("пароль-密碼-🔐 with blanks ", ring.default)),
        ("password with a NUL", pen.envelope("nul\0inside", ring.env)),
        ("longest that fits", pen.envelope("a" * 479, ring.default)),
    ]  # fmt: skip
    return [(*row, "loaded") for row in rows]


def _refused(maker: Maker, ring: Ring) -> list[tuple[str, Stored, str]]:
    pen, secret = maker.pen, maker.secret
    return [
        ("lost key", pen.envelope(secret("lost"), ring.lost_file), UNOPENED),
        ("lost key outside", pen.wrap(pen.envelope(secret("lost-outer"), ring.default), ring.lost_file), UNOPENED),
        ("lost key inside", pen.wrap(pen.bare(secret("lost-inner"), ring.lost), ring.generated), UNOPENED),
        ("longer than the column", pen.envelope("b" * 480, ring.default), TOO_LONG),
    ]


def _rows(maker: Maker, tags: list[str]) -> None:
    pen, plain = maker.pen, plaintext
    default = Ring.made(maker.grains, "demo-key-2025", LOST).default
    routers, switches, _, again, too_long = tags
    odd = [
        maker.credential("counters lost", plain(maker.secret("counters")), success_count=None, failure_count="many"),
        maker.credential("counter overflowed", plain(maker.secret("overflow")), success_count=2**40),
        maker.credential("times by hand", plain(maker.secret("times")), created_at="2025-03-20T10:00:00+02:00",
                         updated_at=1_742_515_200, last_used="yesterday"),
        maker.credential("no times", plain(maker.secret("undated")), created_at=None, updated_at=None),
        maker.credential("id by hand", pen.envelope(maker.secret("id"), default), id="router-login"),
        maker.credential("use keys by hand", null(), use_keys="true", key_file="/home/operator/.ssh/id_rsa"),
    ]  # fmt: skip
    for place, row in enumerate(odd):
        maker.link(row, switches, float(place))
    for name, fate in ((RawText(b"caf\xe9 switch"), "invalid_text"), ("n" * 256, "value_too_long"),
                       ("nul\0name", "invalid_text")):  # fmt: skip
        row = maker.credential(name, plain(maker.secret(f"refused-{fate}-{len(odd)}")), fate=fate)
        maker.link(row, switches, fate="parent_quarantined")
    maker.link(odd[0], again, 3.0)
    maker.link(odd[0], routers, None)
    maker.link(odd[1], routers, -5.5)
    maker.link(odd[1], routers, -5.5, success_count=9)
    maker.link(odd[2], routers, "high", fate="invalid_number")
    maker.link(odd[3], switches, float("inf"))
    maker.link(odd[4], too_long, 1.0, fate="parent_quarantined")
    maker.link(odd[4], "ghost-tag", 1.0, fate="unknown_tag")
    maker.link(maker.grains.uuid("nobody"), routers, 1.0, fate="orphan_credential")
