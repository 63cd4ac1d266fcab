"""Stores that a key manager has been at: rotated, rotated without the old key, and left without one."""

from credstore_pipeline.demo.encodings import default_key, env_key, file_key, null, plaintext
from credstore_pipeline.demo.keys import KeyBook
from credstore_pipeline.demo.maker import TAG_ELSEWHERE, Maker

KEY_STRING = "rotation-store-key-2025"


def key_rotation(seed: int) -> Maker:
    """Rows under `default`, `env_` and three generated keys: each rotation left some behind."""
    maker = Maker("key_rotation", "orm", "ORM store with a key manager, rotated three times", seed)
    default, env = default_key(KEY_STRING), env_key(KEY_STRING)
    rotated = [file_key(maker.grains, f"rotation {n}") for n in range(3)]
    unused = file_key(maker.grains, "made and never used")
    maker.keys = KeyBook(KEY_STRING, [*rotated, unused], [env], rotated[-1].key_id, backup_password="kept-in-the-safe")
    tag = maker.grains.uuid("web tag")
    for place in range(20):
        key = (default, env, *rotated)[place % 5]
        row = maker.credential(f"rotated {place}", maker.pen.envelope(maker.secret(f"rotated-{place}"), key))
        maker.link(row, tag, float(place % 4), fate=TAG_ELSEWHERE)
    return maker


def double_encrypted(seed: int) -> Maker:
    """Ciphertext in ciphertext: each rotation ran in a process that could not open what it sealed."""
    maker = Maker("double_encrypted", "orm", "ORM store, rotated by a process without the key string", seed)
    default = default_key(KEY_STRING)
    first, second = file_key(maker.grains, "first"), file_key(maker.grains, "second")
    maker.keys = KeyBook(KEY_STRING, [first, second], [env_key(KEY_STRING)], second.key_id)
    tag = maker.grains.uuid("web tag")
    pen = maker.pen
    for place in range(12):
        text = maker.secret(f"nested-{place}")
        inner = (pen.envelope(text, default), pen.bare(text, default), plaintext(text))[place % 3]
        once = pen.wrap(inner, first) if place % 3 < 2 else pen.envelope(text, first)
        row = maker.credential(f"nested {place}", pen.wrap(once, second) if place % 2 else once)
        maker.link(row, tag, fate=TAG_ELSEWHERE)
    maker.credential("never had one", null())
    return maker


def lost_env(seed: int) -> Maker:
    """The environment variable was changed twice; one former key came back with a backup, the other is gone.

    The active key id names a key without material, so newer passwords stand in the clear.
    """
    maker = Maker("lost_env", "orm", "ORM store after the key variable was changed", seed)
    imported, lost = env_key("first-variable-2025"), env_key("second-variable-gone", known=False)
    generated = file_key(maker.grains, "generated")
    maker.keys = KeyBook("third-variable-2025", [imported, generated], [lost], lost.key_id, lost="second-variable-gone")
    tag = maker.grains.uuid("web tag")
    for place in range(15):
        text = maker.secret(f"variable-{place}")
        key = (imported, lost, generated, env_key("third-variable-2025"))[place % 4]
        plain = place >= 12
        stored = plaintext(text) if plain else maker.pen.envelope(text, key)
        fate, link = ("loaded", TAG_ELSEWHERE) if stored.recoverable else ("undecryptable_secret", "parent_quarantined")
        row = maker.credential(f"variable {place}", stored, fate=fate)
        maker.link(row, tag, float(place), fate=link)
    return maker
