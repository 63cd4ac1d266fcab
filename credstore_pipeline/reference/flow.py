"""The flow as a Mermaid graph, read from the definitions: one box a step, with its assets and checks."""

from dataclasses import dataclass

import dagster as dg

from credstore_pipeline.definitions import defs


@dataclass(frozen=True)
class Step:
    """One step of the flow.

    Attributes:
        name: What Dagster calls it.
        assets: Keys of the assets that it makes; none if it only checks.
        checks: Names of its checks.
        needs: Keys of the assets that it takes, or that it checks.
    """

    name: str
    assets: tuple[str, ...]
    checks: tuple[str, ...]
    needs: frozenset[str]


def flow() -> str:
    """The graph. An arrow that others imply is left out; blocking checks stand before what follows their assets."""
    nodes = [*_sources(), *_steps()]
    after = {node.name: {other.name for other in nodes if node.needs & set(other.assets)} for node in nodes}
    for proof in (node for node in nodes if not node.assets):
        for node in nodes:
            if node.needs & proof.needs and node is not proof:
                after[node.name].add(proof.name)
    arrows = [
        f"    {before} --> {node.name}"
        for node in nodes
        for before in sorted(after[node.name] - _implied(after, node.name))
    ]
    return "\n".join(["```mermaid", "flowchart TD", *map(_box, nodes), *arrows, "```"])


def order() -> list[str]:
    """Every asset in the order of the flow."""
    return [asset for step in [*_sources(), *_steps()] for asset in step.assets]


def _sources() -> list[Step]:
    keys = defs.resolve_asset_graph().external_asset_keys
    return [Step("__".join(key.path), (key.to_user_string(),), (), frozenset()) for key in sorted(keys)]


def _steps() -> list[Step]:
    found = [*(defs.assets or []), *(defs.asset_checks or [])]
    return [_step(step) for step in found if isinstance(step, dg.AssetsDefinition)]


def _step(step: dg.AssetsDefinition) -> Step:
    checks = list(step.check_specs)
    assets = [spec.key.to_user_string() for spec in step.specs]
    needs = {dep.asset_key.to_user_string() for spec in step.specs for dep in spec.deps} - set(assets)
    checked = {spec.asset_key.to_user_string() for spec in checks}
    return Step(
        step.node_def.name, tuple(assets), tuple(spec.name for spec in checks), frozenset(needs if assets else checked)
    )


def _implied(after: dict[str, set[str]], name: str) -> set[str]:
    """Steps that one of the step's other predecessors already comes after."""
    seen: set[str] = set()
    left = [farther for direct in after[name] for farther in after[direct]]
    while left:
        step = left.pop()
        if step not in seen:
            seen.add(step)
            left += after[step]
    return seen


def _box(node: Step) -> str:
    lines = "<br/>".join([*(f"<b>{asset}</b>" for asset in node.assets), *(f"✓ {check}" for check in node.checks)])
    if not node.assets:
        opening, closing = "{{", "}}"
    elif not node.needs:
        opening, closing = "[(", ")]"
    else:
        opening, closing = "[", "]"
    return f'    {node.name}{opening}"{lines}"{closing}'
