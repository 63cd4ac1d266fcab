"""What people touch, from the code: assets, schedules and sensors, commands, exit codes, run config."""

from collections.abc import Iterable, Iterator

import click
import dagster as dg
from typer.main import get_command

from credstore_pipeline.assets.labels import LABELS
from credstore_pipeline.cli.app import app
from credstore_pipeline.cli.codes import MEANINGS
from credstore_pipeline.definitions import defs
from credstore_pipeline.reference.flow import order

Table = tuple[tuple[str, ...], Iterable[tuple[object, ...]]]


def assets() -> Table:
    """Every asset: what it is, where it comes from, what it holds."""
    graph = defs.resolve_asset_graph()

    def about(asset: str) -> str:
        return (graph.get(dg.AssetKey(asset.split("/"))).description or "").partition("\n")[0]

    names = ("asset", "what it is", "from", "holds")
    return names, (
        (f"`{asset}`", about(asset), LABELS[asset].origin, LABELS[asset].holds) for asset in order() if asset in LABELS
    )


def automation() -> Table:
    """Schedules and sensors."""
    made = [*(defs.schedules or []), *(defs.sensors or [])]
    return ("name", "what it does"), ((f"`{each.name}`", getattr(each, "description", "") or "") for each in made)


def commands() -> Table:
    """Every command of `credstore`, with its options."""
    return ("command", "what it does", "options"), (
        (f"`credstore {name}`", (command.help or "").partition("\n")[0], _options(command))
        for name, command in walk(get_command(app), ())
    )


def exit_codes() -> Table:
    """Exit codes of `credstore`."""
    return ("code", "meaning"), ((f"`{code.value}`", text) for code, text in MEANINGS.items())


def run_config() -> Table:
    """What the Launchpad takes, job by job."""
    rows = []
    for job in defs.jobs or []:
        for node in defs.resolve_job_def(job.name).nodes:
            fields = getattr(node.definition.config_schema.config_type, "fields", None) or {}
            rows += [
                (f"`{job.name}`", f"`{name}`", field.description or "", _default(field))
                for name, field in fields.items()
            ]
    return ("job", "name", "meaning", "default"), rows


def walk(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
    """Every command below one that can be called, with the words that call it."""
    below = getattr(command, "commands", None)
    if below is None:
        yield " ".join(path), command
        return
    for name, each in below.items():
        yield from walk(each, (*path, name))


def _options(command: click.Command) -> str:
    return ", ".join(f"`{option.opts[0]}`" for option in command.params if option.name != "help")


def _default(field: dg.Field) -> str:
    return (
        f"`{field.default_value}`" if field.default_provided else "none: it must be given" if field.is_required else ""
    )
