"""Stores of the setup script: plain passwords, composite keys, integer priorities."""

from credstore_pipeline.demo.encodings import plaintext
from credstore_pipeline.demo.maker import MAPPED, Maker, RawText

SEEDED = (
    ("Admin", "admin", "Administrator credentials with highest privileges", 100),
    ("Backup", "backup", "Backup user with read-only access for configuration backups", 50),
    ("Monitor", "monitor", "Monitor user with minimal read-only access for monitoring", 10),
)
"""The script's own rows: name, username (its password is `<username>_password`), description, priority."""

SEEDED_TAGS = (
    ("Routers", "#FF5733", "Network routers"),
    ("Switches", "#3386FF", "Network switches"),
    ("Firewalls", "#33FF57", "Network firewalls"),
)


def setup_plain(seed: int) -> Maker:
    """The script's three credentials, each on each of its three tags, and the test fixture's fourth."""
    maker = Maker("setup_plain", "script", "setup script, rows inserted by hand", seed)
    tags = [maker.tag(name, color=color, description=text) for name, color, text in SEEDED_TAGS]
    for name, username, text, priority in SEEDED:
        row = maker.credential(name, plaintext(f"{username}_password"), username=username, description=text)
        for tag in tags:
            maker.link(row, tag, priority)
    reader = maker.credential("ReadOnly", plaintext("readonly_password"), username="readonly", description=None)
    maker.link(reader, tags[0], 10)
    return maker


def setup_as_shipped(seed: int) -> Maker:
    """What the script leaves as shipped: tags and associations without rows, and no credentials table at all."""
    made_by = "setup script as shipped, which stops half way"
    return Maker("setup_as_shipped", "script without credentials", made_by, seed)


def setup_empty(seed: int) -> Maker:
    """Three tables, no rows."""
    return Maker("setup_empty", "script", "setup script of the first version, which stops before any row", seed)


def setup_dirty(seed: int) -> Maker:
    """What the script's lax tables let in: NULL ids, a name twice, numbers that are none."""
    maker = Maker("setup_dirty", "script", "setup script, edited by hand for a year", seed)
    routers = maker.tag("Routers")
    again = maker.tag("Routers", color="#000000", fate=MAPPED)
    maker.tag("no id", id=None, fate="missing_value")
    good = maker.credential("kept", plaintext(maker.secret("kept")))
    maker.credential("no id", plaintext(maker.secret("no-id")), id=None, fate="missing_value")
    maker.credential("no id either", plaintext(maker.secret("no-id-2")), id=None, fate="missing_value")
    maker.credential("", plaintext(maker.secret("nameless")), note="an empty name is a name")
    counted = maker.credential(
        "counters", plaintext(maker.secret("counters")), success_count="often", failure_count=None
    )
    broken = maker.credential(RawText(b"caf\xe9"), plaintext(maker.secret("latin")), fate="invalid_text")
    numbered = maker.credential("numbered", plaintext("4711"), id="7")
    maker.link(good, routers, 50.5)
    maker.link(good, again, -3)  # the same pair in the end: the target keeps both rows
    maker.link(counted, routers, None)
    maker.link(numbered, routers, "high", fate="invalid_number")
    maker.link(counted, again, "30")
    maker.link(broken, routers, 1, fate="parent_quarantined")
    maker.link(maker.grains.uuid("nobody"), routers, 1, fate="orphan_credential")
    maker.link(good, maker.grains.uuid("no tag"), 1, fate="unknown_tag")
    return maker
