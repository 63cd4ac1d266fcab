"""Where the documentation speaks of a check: `docs/checks.md`, one section each."""

import re
import sys
from functools import cache
from pathlib import Path

import dagster as dg

PAGES = (
    Path(__file__).parents[2] / "docs" / "checks.md",
    Path(sys.prefix) / "share" / "doc" / "credstore-pipeline" / "checks.md",
)
"""In a checkout; and where the package was installed."""


def docs_of(check: str) -> dict[str, dg.MetadataValue]:
    """What the documentation says of a check, to be read where its result is shown.

    No address: a browser opens none of this machine's files from a page of the UI.
    """
    section = _sections().get(check)
    if section:
        return {"docs": dg.MetadataValue.md(f"{section}\n\nFrom `docs/checks.md`.")}
    return {"docs": dg.MetadataValue.text(f"docs/checks.md, section {check}")}


@cache
def _sections() -> dict[str, str]:
    """Check -> its section. Links between pages lead nowhere in the UI, so that their words alone are kept."""
    page = next((page for page in PAGES if page.is_file()), None)
    if page is None:
        return {}
    found = re.findall(r"^### `([a-z_]+)`\n(.*?)(?=^##|\Z)", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return {name: re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text).strip() for name, text in found}
