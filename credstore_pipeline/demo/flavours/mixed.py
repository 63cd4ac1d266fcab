"""Stores with every encoding side by side, and with what only looks like one."""

from dataclasses import dataclass

from credstore_pipeline.demo.encodings import (
    HEAD_SALTS,
    FernetKey,
    Stored,
    as_blob,
    blob,
    default_key,
    env_key,
    file_key,
    head_key,
    null,
    plaintext,
)
from credstore_pipeline.demo.grains import Grains
from credstore_pipeline.demo.keys import KeyBook
from credstore_pipeline.demo.maker import TAG_ELSEWHERE, Maker, RawText

UNOPENED = "undecryptable_secret"
TOO_LONG = "secret_too_long"


@dataclass(frozen=True)
class Ring:
    """The keys of a mixed store. The key string is short, so that its `env_` key is made of the padded one."""

    key_string: str
    default: FernetKey
    env: FernetKey
    generated: FernetKey
    older: FernetKey
    lost: FernetKey
    lost_file: FernetKey

    @classmethod
    def made(cls, grains: Grains, key_string: str, lost: str) -> "Ring":
        """All of them, from one key string and one that nobody has any more."""
        return cls(
            key_string,
            default_key(key_string),
            env_key(key_string),
            file_key(grains, "generated"),
            file_key(grains, "older"),
            default_key(lost, known=False),
            file_key(grains, "lost", known=False),
        )

    def book(self, lost: str) -> KeyBook:
        """What of them lies on disk."""
        return KeyBook(self.key_string, [self.older, self.generated], [self.env], self.generated.key_id, lost=lost)


def mixed(seed: int) -> Maker:
    """Every encoding, wrappings, lost keys, passwords shaped like ciphertext, lengths at the limit, odd characters."""
    maker = Maker("mixed", "orm", "ORM store that several versions and an operator wrote to", seed)
    ring = Ring.made(maker.grains, "mixedkey2025", "mixed-key-nobody-has")
    maker.keys = ring.book("mixed-key-nobody-has")
    tag = maker.grains.uuid("web tag")
    rows = [*encodings(maker, ring), *lookalikes(maker, ring), *lengths(maker, ring), *characters(maker, ring)]
    for place, (name, stored, fate) in enumerate(rows):
        row = maker.credential(name, stored, fate=fate)
        maker.link(row, tag, float(place % 6), fate=TAG_ELSEWHERE if fate == "loaded" else "parent_quarantined")
    return maker


def encodings(maker: Maker, ring: Ring) -> list[tuple[str, Stored, str]]:
    """Name, stored value and fate of a row for each encoding."""
    pen, secret = maker.pen, maker.secret
    older = pen.envelope(secret("thrice"), ring.default)
    rows = [
        ("null", null()),
        ("empty", plaintext("")),
        ("plaintext", plaintext(secret("plain"))),
        ("bare token", pen.bare(secret("bare"), ring.default)),
        ("bare token, env key", pen.bare(secret("bare-env"), ring.env)),
        ("bare token, generated key", pen.bare(secret("bare-file"), ring.generated)),
        ("envelope default", pen.envelope(secret("default"), ring.default)),
        ("envelope env", pen.envelope(secret("env"), ring.env)),
        ("envelope generated", pen.envelope(secret("file"), ring.generated)),
        *((f"newest version {n}", pen.bare(secret(f"head-{n}"), head_key(ring.key_string, salt)))
          for n, salt in enumerate(HEAD_SALTS)),
        ("no key id", pen.envelope(secret("no-key-id"), ring.default, "no_key_id")),
        ("no version", pen.envelope(secret("no-version"), ring.generated, "no_version")),
        ("compact", pen.envelope(secret("compact"), ring.default, "compact")),
        ("blanks around", pen.envelope(secret("blanks"), ring.default, "blanks")),
        ("other order", pen.envelope(secret("reordered"), ring.env, "reordered")),
        ("names the wrong key", pen.envelope(secret("misnamed"), ring.default, key_id=ring.older.key_id)),
        ("names an unknown key", pen.envelope(secret("unknown-id"), ring.older, key_id="key_00000000")),
        ("twice", pen.wrap(pen.envelope(secret("twice"), ring.default), ring.older)),
        ("twice, same key", pen.wrap(pen.envelope(secret("same"), ring.default), ring.default)),
        ("bare in an envelope", pen.wrap(pen.bare(secret("bare-inside"), ring.default), ring.generated)),
        ("envelope in a bare token", pen.wrap_bare(pen.envelope(secret("bare-outside"), ring.env), ring.default)),
        ("three times", pen.wrap(pen.wrap(older, ring.older), ring.generated)),
        ("blob of text", blob(secret("blob").encode(), secret("blob"))),
        ("blob of an envelope", as_blob(pen.envelope(secret("blob-envelope"), ring.default))),
        ("blob of a token", as_blob(pen.bare(secret("blob-token"), ring.default))),
    ]  # fmt: skip
    lost = [
        ("lost key, bare", pen.bare(secret("lost-bare"), ring.lost)),
        ("lost key, envelope", pen.envelope(secret("lost-envelope"), ring.lost_file)),
        ("lost key outside", pen.wrap(pen.envelope(secret("lost-outer"), ring.default), ring.lost_file)),
        ("lost key inside", pen.wrap(pen.envelope(secret("lost-inner"), ring.lost_file), ring.generated)),
        ("lost token inside", pen.wrap(pen.bare(secret("lost-token"), ring.lost), ring.default)),
    ]
    return [(*row, "loaded") for row in rows] + [(*row, UNOPENED) for row in lost]


def lookalikes(maker: Maker, ring: Ring) -> list[tuple[str, Stored, str]]:
    """Passwords that look like ciphertext: by structure some cannot be told from a lost key's."""
    pen = maker.pen
    foreign = str(pen.bare("anything", default_key("some other system's key")).value)
    no_token = '{"key_id": "default", "encrypted_data": "Zm9v", "version": "1.0"}'
    texts = [
        ("starts like a token", "gAAAAABnot-a-token"),
        ("starts like a token, long", "gAAAAAB" + "x" * 120),
        ("a truncated token", foreign[:-4]),
        ("a token with junk", foreign[:40] + "*" + foreign[40:]),
        ("looks like an envelope", no_token),
        ("envelope of a number", '{"encrypted_data": 5}'),
        ("json object", '{"user": "root", "pass": 1}'),
        ("json string", '"quoted"'),
        ("braces", "{not json}"),
        ("brackets", "[1, 2]"),
    ]
    rows = [(f"plain: {name}", plaintext(text), "loaded") for name, text in texts]
    rows += [(f"sealed: {name}", pen.envelope(text, ring.default), "loaded") for name, text in texts]
    rows += [
        ("plain: foreign token", plaintext(foreign), UNOPENED),
        ("sealed: foreign token", pen.envelope(foreign, ring.default), UNOPENED),
        ("sealed: foreign token, bare", pen.bare(foreign, ring.default), UNOPENED),
    ]
    return rows


def lengths(maker: Maker, ring: Ring) -> list[tuple[str, Stored, str]]:
    """The longest password whose envelope fits the column has 479 bytes of UTF-8."""
    pen = maker.pen
    return [
        ("one character", plaintext("x"), "loaded"),
        ("479 bytes", plaintext("a" * 479), "loaded"),
        ("480 bytes", plaintext("b" * 480), TOO_LONG),
        ("479 bytes in 160 characters", pen.envelope("€" * 159 + "xy", ring.default), "loaded"),
        ("480 bytes in 160 characters", pen.envelope("€" * 160, ring.generated), TOO_LONG),
        ("5,000 bytes", pen.bare("c" * 5000, ring.default), TOO_LONG),
        ("1,024 characters in the clear", plaintext("d" * 1024), TOO_LONG),
    ]


def characters(maker: Maker, ring: Ring) -> list[tuple[str, Stored, str]]:
    """NULs, blanks, quotes, scripts, and bytes that are no text."""
    pen, secret = maker.pen, maker.secret
    texts = [
        "nul\0inside",
        "\0",
        " leading and trailing ",
        "   ",
        "line1\nline2\t",
        "quo'te\"s;--",
        "Grüße",
        "пароль-密碼-🔐",
        "e\u0301 \u202eright to left",
        "\\N",
        "\ufeffmark",
        "NULL",
        "%s {0} $1",
        "12345678",
    ]
    rows = [(f"characters {n}, plain", plaintext(text), "loaded") for n, text in enumerate(texts)]
    rows += [(f"characters {n}, sealed", pen.envelope(text, ring.default), "loaded") for n, text in enumerate(texts)]
    rows += [
        ("blob, no text", blob(b"\xff\xfe\x00binary", None), "invalid_text"),
        ("text, not UTF-8", Stored(RawText(b"caf\xe9-password"), None, "plaintext", recoverable=False), "invalid_text"),
        ("lone surrogate", Stored(RawText(b"x\xed\xa0\x80y"), None, "plaintext", recoverable=False), "invalid_text"),
        ("sealed bytes, no text", pen.envelope(secret("latin").encode() + b"\xe9", ring.default), "invalid_text"),
    ]
    return rows


def source_keys(seed: int) -> Maker:
    """Rows that open only with what the operator adds by hand: further key strings, a raw key, a key backup."""
    maker = Maker("source_keys", "orm", "ORM store whose keys were kept in several places", seed)
    raw = FernetKey("raw", maker.grains.bytes("raw key", 32))
    former = "former-key-string-2024"
    backed_up = file_key(maker.grains, "only in the backup")
    maker.keys = KeyBook(
        "source-keys-2025", [], [backed_up], None, backup_password="backup-words", source_keys=[former, raw.text]
    )
    stored = [
        ("former key, envelope", maker.pen.envelope(maker.secret("former"), default_key(former))),
        ("former key, bare", maker.pen.bare(maker.secret("former-bare"), default_key(former))),
        ("former key, env", maker.pen.envelope(maker.secret("former-env"), env_key(former))),
        ("former key, newest version", maker.pen.bare(maker.secret("former-head"), head_key(former, HEAD_SALTS[0]))),
        ("raw key", maker.pen.bare(maker.secret("raw"), raw)),
        ("key from the backup", maker.pen.envelope(maker.secret("backup"), backed_up)),
        ("current key", maker.pen.envelope(maker.secret("current"), default_key("source-keys-2025"))),
    ]
    for name, value in stored:
        maker.credential(name, value)
    return maker
