"""Files that break what every maker of a store kept: ids twice, pairs without ids, bytes; and another's tables."""

from credstore_pipeline.demo.encodings import default_key, plaintext
from credstore_pipeline.demo.keys import KeyBook
from credstore_pipeline.demo.maker import EITHER, Maker, RawText


def unkeyed(seed: int) -> Maker:
    """No primary key held: the same id several times, ids that are bytes or numbers, pairs of NULLs."""
    maker = Maker("unkeyed", "hand-made", "tables rebuilt by hand from a dump, without keys", seed)
    maker.keys = KeyBook("unkeyed-store-key")
    pen, key = maker.pen, default_key("unkeyed-store-key")
    tag = maker.tag("Routers")
    maker.tag("other name", id=tag, fate="duplicate_id")
    good = maker.credential("good", pen.envelope(maker.secret("good"), key))
    twice = maker.credential("twice, first", pen.envelope(maker.secret("twice-1"), key), fate="duplicate_id")
    maker.credential("twice, second", pen.envelope(maker.secret("twice-2"), key), id=twice, fate="duplicate_id")
    maker.credential("id is a number", plaintext(maker.secret("number")), id=7, fate=EITHER)
    maker.credential("id is a BLOB of text", plaintext(maker.secret("blob-id")), id=b"blob-id", fate=EITHER)
    maker.credential("id is a BLOB", plaintext(maker.secret("bytes-id")), id=b"\xff\x00", fate="invalid_text")
    maker.credential("id is not UTF-8", plaintext(maker.secret("latin-id")), id=RawText(b"\xe9"), fate="invalid_text")
    latin, blob = RawText(b"\xff\xfe"), b"\xde\xad\xbe\xef"
    maker.credential("description is not UTF-8", plaintext("a"), description=latin, fate="invalid_text")
    maker.credential("description is a BLOB", plaintext("b"), description=blob, fate="invalid_text")
    maker.tag("empty id", id="", fate="missing_value")
    maker.link(good, tag, 5.0, id="one-id", fate="duplicate_id")
    maker.link(good, tag, 6.0, id="one-id", fate="duplicate_id")
    maker.link(good, tag, 7.0, id=None, fate=EITHER)
    maker.link(good, tag, 8.0, id=None, fate=EITHER)
    maker.link(twice, tag, 1.0, fate="parent_quarantined")
    maker.link(None, None, 1.0, id=None, fate="missing_value")
    maker.link("", "", 1.0, id=None, fate="missing_value")
    return maker


def head(seed: int) -> Maker:
    """The application's newest tables, which are not this store's: to be refused with what was found."""
    maker = Maker("head", "head", "the application after its rewrite", seed, notes="refused: integer ids")
    maker.keys = KeyBook("head-store-key-2025")
    for place in range(1, 3):
        stored = plaintext(maker.secret(f"head-{place}"))
        maker.credential("", stored, id=place, priority=100, success_rate=0.5, is_system=0, fate="refused")
        maker.tag(f"tag {place}", id=place, type="device", fate="refused")
        maker.neighbour("credential_tag_association", credential_id=place, tag_id=place)
    return maker
