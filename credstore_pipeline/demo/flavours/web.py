"""Stores in the web application's own database file, beside tables that are not part of them."""

from credstore_pipeline.demo.encodings import default_key, plaintext
from credstore_pipeline.demo.keys import KeyBook
from credstore_pipeline.demo.maker import Maker

DEFAULT_TAG = "tag-default"
"""The web application's own tag; its id is no UUID."""


def web_and_store(seed: int) -> Maker:
    """The store was pointed at the web application's file: web tags, device tags and rules, ORM tables."""
    return _filled(Maker("web_and_store", "orm and web tags", "web application, then the ORM store", seed))


def web(seed: int) -> Maker:
    """All tables by the later web models, with foreign keys to tags."""
    return _filled(Maker("web", "web", "the web application's later models", seed))


def migration_tags(seed: int) -> Maker:
    """Tags as the web application's first database migration made them."""
    return _filled(Maker("migration_tags", "orm and migration tags", "database migration, then the ORM store", seed))


def _filled(maker: Maker) -> Maker:
    maker.keys = KeyBook("web-store-key-2025")
    key = default_key("web-store-key-2025")
    tags = [maker.tag("Default", id=DEFAULT_TAG, color="#6366F1")]
    tags += [maker.tag(name) for name in ("Routers", "Core Ünïcode", "Lab")]
    for place in range(12):
        text = maker.secret(f"web-{place}")
        row = maker.credential(f"web {place}", plaintext(text) if place % 4 == 3 else maker.pen.envelope(text, key))
        maker.link(row, tags[place % 4], float(place % 3))
        maker.link(row, tags[0], 0.0, success_count=4, failure_count=1, last_success=maker.moment(900))
    if maker.schema != "orm and migration tags":
        _neighbours(maker, tags)
    return maker


def _neighbours(maker: Maker, tags: list[str]) -> None:
    for place, tag in enumerate(tags):
        maker.neighbour("device_tags", device_id=maker.grains.uuid(f"device {place}"), tag_id=tag)
        maker.neighbour(
            "tag_rules", id=maker.grains.uuid(f"rule {place}"), name=f"rule {place}", rule_criteria="{}", tag_id=tag
        )
