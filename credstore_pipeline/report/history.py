"""Earlier runs of the same home, from their reports: how much each had to carry over."""

import json
from pathlib import Path
from typing import Any

from credstore_pipeline.report.told import Rows

SHOWN = 30
"""Runs in the picture."""

CARRIED = ("_inserted", "_updated", "_deleted")


def history(report_dir: Path) -> Rows:
    """One row for each of the last runs that loaded, the oldest first."""
    found = []
    for path in report_dir.glob("*/report.json"):
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            # Another run is just writing or removing it.
            continue
        numbers = {part["stage"]: part["numbers"] for part in told.get("parts", [])}
        at = {part["stage"]: part["at"] for part in told.get("parts", [])}
        if "postgres" in numbers and told["outcome"] == "migrated and proven":
            found.append({"ended": at["postgres"], **_carried(numbers)})
    return sorted(found, key=lambda run: run["ended"])[-SHOWN:]


def _carried(numbers: dict[str, dict[str, Any]]) -> dict[str, int]:
    load, validated = numbers["postgres"], numbers.get("validated", {})
    return {
        "rows behind": int(sum(value for name, value in load.items() if name.endswith(CARRIED))),
        "quarantined": int(sum(validated.get(f"quarantined_{what}", 0) for what in ("credentials", "links"))),
        "conflicts waiting": int(sum(value for name, value in load.items() if name.endswith("conflicts_waiting"))),
    }
