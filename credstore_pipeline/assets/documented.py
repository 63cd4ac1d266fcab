"""Where the documentation speaks of a check: `docs/checks.md`, one section each."""

import re
from functools import cache
from pathlib import Path

import dagster as dg

PAGE = Path(__file__).parents[2] / "docs" / "checks.md"


def docs_of(check: str) -> dict[str, dg.MetadataValue]:
    """What the documentation says of a check, to be read where its result is shown.

    No address: a browser opens none of this machine's files from a page of the UI. Where only the package is there,
    the section is named.
    """
    section = _sections().get(check)
    if section:
        return {"docs": dg.MetadataValue.md(f"{section}\n\nFrom `docs/checks.md`.")}
    return {"docs": dg.MetadataValue.text(f"docs/checks.md, section {check}")}


@cache
def _sections() -> dict[str, str]:
    """Check -> its section. Links between pages lead nowhere in the UI, so that their words alone are kept."""
    if not PAGE.is_file():
        return {}
    found = re.findall(r"^### `([a-z_]+)`\n(.*?)(?=^##|\Z)", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return {name: re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text).strip() for name, text in found}
