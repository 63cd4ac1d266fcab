"""Stores of the application's ORM: bare tokens first, envelopes later, tags mostly elsewhere."""

from credstore_pipeline.demo.encodings import FernetKey, Stored, default_key, null, plaintext
from credstore_pipeline.demo.flavours.script import SEEDED_TAGS
from credstore_pipeline.demo.keys import KeyBook
from credstore_pipeline.demo.maker import TAG_ELSEWHERE, Maker

PRIORITIES = (100.0, 50.5, 50.5, 0.0, 0.0, -3.0, 99.999, 1_000_000.0)


def orm_bare(seed: int) -> Maker:
    """Bare tokens, with tags in the same file."""
    maker = Maker("orm_bare", "orm with foreign keys to tags", "the store's first version, repaired by hand", seed)
    maker.keys = KeyBook("bare-store-key-2025")
    key = default_key("bare-store-key-2025")
    tags = [maker.tag(name, color=color, description=text) for name, color, text in SEEDED_TAGS]
    tags.append(maker.tag("unused"))
    for place in range(12):
        stored = maker.pen.bare(maker.secret(f"bare-{place}"), key) if place else null()
        row = maker.credential(f"cred {place}", stored, use_keys=0 if place else 1, key_file=_key_file(place))
        for tag in tags[: 1 + place % 3]:
            maker.link(row, tag, PRIORITIES[place % 8])
    return maker


def orm_envelope(seed: int) -> Maker:
    """Envelopes `default`; the tags live in the web application's database."""
    maker = Maker("orm_envelope", "orm", "ORM store without key manager", seed)
    maker.keys = KeyBook("envelope-store-key-2025")
    key = default_key("envelope-store-key-2025")
    tags = [*(maker.grains.uuid(f"web tag {n}") for n in range(3)), "tag-default"]
    for place in range(20):
        row = maker.credential(f"Env cred {place}", _envelope_or_null(maker, place, key), description="d\nline2")
        for tag in (tags[place % 4], tags[(place + 1) % 4]):
            maker.link(row, tag, PRIORITIES[place % 8], fate=TAG_ELSEWHERE)
        if place == 5:
            maker.link(row, tags[place % 4], 1.0, fate=TAG_ELSEWHERE)  # the API writes a tag named twice twice
    return maker


def hybrid_script_first(seed: int) -> Maker:
    """The script made tags and associations, the ORM the credentials."""
    maker = Maker("hybrid_script_first", "hybrid, script first", "setup script, then the ORM store", seed)
    return _hybrid(maker)


def hybrid_orm_first(seed: int) -> Maker:
    """The ORM made credentials and associations, the script the tags."""
    return _hybrid(Maker("hybrid_orm_first", "hybrid, orm first", "the ORM store, then the setup script", seed))


def _hybrid(maker: Maker) -> Maker:
    maker.keys = KeyBook("hybrid-store-key-2025")
    key = default_key("hybrid-store-key-2025")
    tags = [maker.tag(name, color=color, description=text) for name, color, text in SEEDED_TAGS]
    for place in range(9):
        row = maker.credential(f"hybrid {place}", _envelope_or_null(maker, place, key))
        for tag in tags[: 1 + place % 3]:
            maker.link(row, tag, 10 * place)
    return maker


def _envelope_or_null(maker: Maker, place: int, key: FernetKey) -> Stored:
    if place % 10 == 7:
        return null()
    if place % 10 == 8:
        return plaintext("")
    return maker.pen.envelope(maker.secret(f"envelope-{place}"), key)


def _key_file(place: int) -> str | None:
    return None if place else "/home/operator/.ssh/id_0"
