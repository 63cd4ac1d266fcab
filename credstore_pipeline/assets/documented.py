"""Where the documentation speaks of a check: `docs/checks.md`, one section each."""

from pathlib import Path

import dagster as dg

PAGE = Path(__file__).parents[2] / "docs" / "checks.md"


def docs_of(check: str) -> dict[str, dg.MetadataValue]:
    """A link to the check's section, as metadata of its result; its place in words where only the package is there."""
    if PAGE.is_file():
        return {"docs": dg.MetadataValue.url(f"{PAGE.as_uri()}#{check}")}
    return {"docs": dg.MetadataValue.text(f"docs/checks.md, section {check}")}
