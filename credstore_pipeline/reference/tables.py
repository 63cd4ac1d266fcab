"""Each reference table, as Markdown, from the code that it speaks of."""

from collections.abc import Callable, Iterable, Mapping

import dagster as dg

from credstore_pipeline.core.data_key import Purpose, TargetPurpose
from credstore_pipeline.core.reasons import NOT_COUNTED_AS_LINKS, WHAT_TO_DO, Reason
from credstore_pipeline.core.rules.repairs import Rule
from credstore_pipeline.core.source.flavour import FLAVOURS
from credstore_pipeline.core.target.sync_models import metadata
from credstore_pipeline.definitions import defs
from credstore_pipeline.reference import interfaces
from credstore_pipeline.reference.flow import flow, order
from credstore_pipeline.reference.wording import KEY_USES, REASONS, RULES, SETTINGS
from credstore_pipeline.settings import Settings
from credstore_pipeline.settings_reading import secret_names


def settings() -> str:
    """Every variable with its meaning and default."""
    secrets = secret_names()
    return _table(
        ("variable", "meaning", "default"),
        (
            (f"`{name}`{' †' if name in secrets else ''}", field.description, _default(name))
            for name, field in Settings.model_fields.items()
        ),
    )


def settings_in_full() -> str:
    """Every variable under a heading of its own."""
    parts = []
    secrets = secret_names()
    for name, field in Settings.model_fields.items():
        words = SETTINGS[name]
        parts.append(f"### `{name}`\n\n{field.description}\n")
        parts.append(f"- Takes: {words.takes}.\n- Default: {_default(name)}.\n- Example: `{words.example}`")
        if name in secrets:
            parts.append(f"- A secret: `{name}_FILE` may name a file that holds it instead.")
        parts.append("")
    return "\n".join(parts)


def reasons() -> str:
    """Reason codes of quarantine."""
    return _table(
        ("reason", "the row", "counts", "what to do"),
        ((f"`{reason}`", REASONS[reason], _counts(reason), WHAT_TO_DO[reason]) for reason in Reason),
    )


def repairs() -> str:
    """Rules of repairs."""
    return _table(
        ("rule", "columns", "what was found, and what stands in the target"),
        ((f"`{rule}`", RULES[rule][0], RULES[rule][1]) for rule in Rule),
    )


def checks() -> str:
    """Every check, the asset that it is on, and its claim."""
    graph = defs.resolve_asset_graph()
    keys = sorted(graph.asset_check_keys, key=lambda key: (_place(key.asset_key.to_user_string()), key.name))
    specs = [graph.get_check_spec(key) for key in keys]
    return _table(
        ("check", "on", "red", "claim"),
        (
            (
                f"[`{spec.name}`](checks.md#{spec.name})",
                f"`{spec.asset_key.to_user_string()}`",
                "blocks" if spec.blocking else "warns",
                spec.description,
            )
            for spec in specs
        ),
    )


def jobs() -> str:
    """Every job and what it runs."""
    listed = []
    for job in defs.jobs or []:
        layer = defs.resolve_job_def(job.name).asset_layer
        assets = sorted((key.to_user_string() for key in layer.selected_asset_keys), key=_place)
        # A job of ops knows every check of the definitions and runs none.
        checks = () if isinstance(job, dg.JobDefinition) else [key.name for key in layer.asset_graph.asset_check_keys]
        alone = f"{len(checks)} checks alone" if len(checks) > 1 else ", ".join(f"`{name}`" for name in checks)
        listed.append(
            (
                f"`{job.name}`",
                job.description,
                ", ".join(f"`{a}`" for a in assets) or alone or "a step of its own, which `*` cannot select",
            )
        )
    return _table(("job", "what it does", "runs"), listed)


def sync_tables() -> str:
    """The pipeline's own tables."""
    return _table(
        ("table", "holds", "columns"),
        (
            (f"`{table.name}`", table.comment, ", ".join(f"`{column.name}`" for column in table.columns))
            for table in metadata.sorted_tables
        ),
    )


def key_uses() -> str:
    """Derived keys, each with its one purpose."""
    return _table(
        ("derived from", "label", "used for"),
        [
            *(("target key", f"`{purpose.value}`", KEY_USES[purpose]) for purpose in TargetPurpose),
            *(("data key", f"`{purpose.value}`", KEY_USES[purpose]) for purpose in Purpose),
        ],
    )


def flavours() -> str:
    """What a legacy file may be."""
    return _table(("flavour", "tables"), ((f"`{name}`", text) for name, text in FLAVOURS.items()))


TABLES: Mapping[str, Callable[[], str]] = {
    "flow": flow,
    "settings": settings,
    "settings-in-full": settings_in_full,
    "reasons": reasons,
    "repairs": repairs,
    "checks": checks,
    "jobs": jobs,
    "sync-tables": sync_tables,
    "key-uses": key_uses,
    "flavours": flavours,
    "assets": lambda: _table(*interfaces.assets()),
    "automation": lambda: _table(*interfaces.automation()),
    "run-config": lambda: _table(*interfaces.run_config()),
    "commands": lambda: _table(*interfaces.commands()),
    "exit-codes": lambda: _table(*interfaces.exit_codes()),
}
"""Name in a page's marker -> what stands there."""


def _table(names: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    for row in rows:
        cells = [str(cell).replace("|", "\\|").replace("\n", " ") for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _default(name: str) -> str:
    value = Settings.model_fields[name].default
    written = value not in (None, ()) and not Settings.model_fields[name].is_required()
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`" if written else SETTINGS[name].default


def _counts(reason: Reason) -> str:
    return "not counted" if reason in NOT_COUNTED_AS_LINKS else "yes"


def _place(asset: str) -> int:
    return order().index(asset)
