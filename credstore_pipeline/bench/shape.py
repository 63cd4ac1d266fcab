"""Prints the pipeline's steps and checks as JSON, in a process of its own: loading them takes memory and a second."""

import json
from typing import Any

import dagster as dg


def shape_of(defs: dg.Definitions) -> list[dict[str, Any]]:
    """Keys, dependencies and checks of every executable step."""
    steps = [*(defs.assets or []), *(defs.asset_checks or [])]
    return [
        {
            "keys": sorted(key.to_user_string() for key in step.keys),
            "deps": sorted(key.to_user_string() for key in set(step.dependency_keys) - set(step.keys)),
            "checks": sorted([spec.name, spec.asset_key.to_user_string()] for spec in step.check_specs),
        }
        for step in steps
        if isinstance(step, dg.AssetsDefinition) and step.is_executable and not step.is_observable
    ]


if __name__ == "__main__":
    from credstore_pipeline.definitions import defs

    print(json.dumps(shape_of(defs)))
