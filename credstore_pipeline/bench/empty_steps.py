"""As many empty steps and checks as the pipeline has, in the same order: what Dagster itself costs.

Loaded by `dagster asset materialize`; the shape comes from a file, so that the pipeline's own imports do not count.
"""

import json
import os
from pathlib import Path
from typing import Any

import dagster as dg

SHAPE_VARIABLE = "CREDSTORE_BENCH_SHAPE"


def build(shape: list[dict[str, Any]]) -> dg.Definitions:
    """Definitions of that shape in which every step does nothing and every check passes."""
    made = [_step(place, **step) for place, step in enumerate(shape)]
    executor = dg.in_process_executor
    return dg.Definitions(
        assets=[step for step in made if not isinstance(step, dg.AssetChecksDefinition)],
        asset_checks=[step for step in made if isinstance(step, dg.AssetChecksDefinition)],
        executor=executor,
    )


def _step(place: int, keys: list[str], deps: list[str], checks: list[list[str]]) -> dg.AssetsDefinition:
    specs = [dg.AssetCheckSpec(name, asset=dg.AssetKey(key.split("/")), blocking=True) for name, key in checks]

    def results() -> list[dg.AssetCheckResult]:
        return [dg.AssetCheckResult(passed=True, check_name=spec.name, asset_key=spec.asset_key) for spec in specs]

    if not keys:

        @dg.multi_asset_check(name=f"step_{place}", specs=specs)
        def nothing_checked():
            yield from results()

        return nothing_checked

    assets = [dg.AssetSpec(key.split("/"), deps=[dep.split("/") for dep in deps]) for key in keys]

    @dg.multi_asset(name=f"step_{place}", specs=assets, check_specs=specs)
    def nothing():
        for spec in assets:
            yield dg.MaterializeResult(asset_key=spec.key)
        yield from results()

    return nothing


if SHAPE_VARIABLE in os.environ:
    defs = build(json.loads(Path(os.environ[SHAPE_VARIABLE]).read_text()))
