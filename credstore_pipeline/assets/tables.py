"""Small tables and verdicts as Dagster metadata."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from credstore_pipeline.assets.documented import docs_of
from credstore_pipeline.core.validation.gates import Verdict


def as_table(rows: list[dict[str, Any]]) -> dg.TableMetadataValue | dg.TextMetadataValue:
    """Rows as a table that the UI shows inline; ids, reasons and counts only."""
    if not rows:
        return dg.MetadataValue.text("none")
    kinds = {int: "int", float: "float", bool: "bool"}
    columns = [dg.TableColumn(name, kinds.get(type(value), "string")) for name, value in rows[0].items()]
    records = [
        dg.TableRecord({name: value if isinstance(value, (int, float)) else str(value) for name, value in row.items()})
        for row in rows
    ]
    return dg.MetadataValue.table(records, dg.TableSchema(columns))


def as_check(verdict: Verdict, name: str, asset: dg.AssetKey) -> dg.AssetCheckResult:
    """A verdict as the result of one asset check; a warning never blocks."""
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=verdict.passed,
        severity=dg.AssetCheckSeverity.ERROR if verdict.fatal else dg.AssetCheckSeverity.WARN,
        description=verdict.text,
        metadata={
            **docs_of(name),
            **verdict.numbers,
            **({"rows": as_table(list(verdict.rows))} if verdict.rows else {}),
        },
    )


def as_proofs(verdicts: Mapping[str, Verdict]) -> list[dict[str, str]]:
    """Checks with their verdicts, as a table of the report."""
    return [
        {
            "proof": name,
            "holds": "yes" if verdict.passed else "no" if verdict.fatal else "note",
            "found": verdict.text,
        }
        for name, verdict in verdicts.items()
    ]
