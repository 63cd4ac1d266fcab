"""The commands."""

from typing import Annotated, Any, Literal

import typer

from credstore_pipeline.cli.output import put_json, put_table, put_text
from credstore_pipeline.cli.running import AsJson, WithLog, deployment, run

EPILOG = "Exit codes: 0 done; 1 the run is red; 2 wrong command line; 3 settings or target are not ready."

app = typer.Typer(
    name="credstore",
    help="Moves NetRaven's credential store from SQLite to PostgreSQL, re-encrypted and proven.",
    epilog=EPILOG,
    no_args_is_help=True,
    # A traceback with local variables would show keys.
    pretty_exceptions_enable=False,
)
quarantine = typer.Typer(help="Rows that stay behind, sealed.", no_args_is_help=True, epilog=EPILOG)
conflicts = typer.Typer(help="What was changed on both sides.", no_args_is_help=True, epilog=EPILOG)
app.add_typer(quarantine, name="quarantine")
app.add_typer(conflicts, name="conflicts")


@app.command(epilog=EPILOG)
def preflight(as_json: AsJson = False, log: WithLog = False) -> None:
    """Look before anything is written: how every password is stored, which keys open them, what the target is."""
    run("preflight", None, as_json=as_json, log=log)


@app.command(epilog=EPILOG)
def migrate(
    confirm: Annotated[
        list[str] | None,
        typer.Option(metavar="GUARD=NUMBER", help="Override a guard of this load by the number that it showed."),
    ] = None,
    as_json: AsJson = False,
    log: WithLog = False,
) -> None:
    """Move the store, or take over what changed since: snapshot, validate, load, prove, report."""
    confirmed = _numbers(confirm or [])
    run("migrate", {"confirm": confirmed} if confirmed else None, as_json=as_json, log=log)


@app.command(epilog=EPILOG)
def verify(as_json: AsJson = False, log: WithLog = False) -> None:
    """Prove the stored result anew; writes its outcome alone, which cutover asks for."""
    run("verify", None, as_json=as_json, log=log)


@app.command(epilog=EPILOG)
def cutover(
    confirm: Annotated[str, typer.Option(help="The store's path, exactly as CREDSTORE_SQLITE_PATH has it.")],
    block_writers: Annotated[bool, typer.Option(help="Leave triggers that refuse writes of old containers.")] = True,
    archive: Annotated[bool, typer.Option(help="Rename the file, if nobody has it open any more.")] = False,
    as_json: AsJson = False,
    log: WithLog = False,
) -> None:
    """End the window: freeze the old store, take its last changes over, prove, record."""
    config = {"confirm": confirm, "block_writers": block_writers, "archive": archive}
    run("cutover", config, as_json=as_json, log=log)


@app.command(epilog=EPILOG)
def rollback(
    to: Annotated[str, typer.Option(help="Where the file is to be; beside the snapshots by default.")] = "",
    flavour: Annotated[
        Literal["source", "orm"],
        typer.Option(help="`source`: the tables that the store had; `orm`: all columns."),
    ] = "source",
    allow_loss: Annotated[list[str] | None, typer.Option(help="What may be left out, as a refusal named it.")] = None,
    swap: Annotated[bool, typer.Option(help="Put the file in the store's place and clear the cutover.")] = False,
    confirm_plaintext: Annotated[bool, typer.Option(help="That passwords may stand in the clear.")] = False,
    as_json: AsJson = False,
    log: WithLog = False,
) -> None:
    """Write PostgreSQL's store into a new SQLite file, proven, and swap it in if asked to."""
    config = {
        "to": to,
        "flavour": flavour,
        "allow_loss": allow_loss or [],
        "swap": swap,
        "confirm_plaintext": confirm_plaintext,
    }
    run("rollback_export", config, as_json=as_json, log=log)


@app.command(epilog=EPILOG)
def status(as_json: AsJson = False) -> None:
    """Show the window, the last runs, drift, conflicts and quarantine."""
    from credstore_pipeline.cli.standing import standing

    with deployment() as found:
        stands = standing(found)
    if as_json:
        put_json(stands)
        return
    put_text(stands["window"])
    put_table("Last runs", [_in_short(run) for run in stands["runs"]], "Nothing was loaded yet.")
    put_text(f"Rows behind: {stands['drift'] if stands['drift'] is not None else 'unknown before the first load'}.")
    put_text(f"Last verify: {stands['verified'] or 'never made'}.")
    put_text(f"Conflicts waiting: {stands['conflicts_waiting']}.")
    put_table("Quarantine", stands["quarantined"], "Nothing is in quarantine.")


@app.command(epilog=EPILOG)
def keys(as_json: AsJson = False, log: WithLog = False) -> None:
    """Show which keys are still needed, by how many rows, in which store; by their public ids."""
    run("key_retirement", None, as_json=as_json, log=log)


@quarantine.command("list", epilog=EPILOG)
def quarantine_list(as_json: AsJson = False) -> None:
    """List the rows that stay behind, by id, with the reason."""
    from credstore_pipeline.core.status import quarantined

    with deployment() as found:
        rows = quarantined(found)
    put_json(rows) if as_json else put_table("Quarantine", rows, "Nothing is in quarantine.")


@quarantine.command("replay", epilog=EPILOG)
def quarantine_replay(as_json: AsJson = False, log: WithLog = False) -> None:
    """Take over the rows that became good: a key was added, the row was mended."""
    run("replay_quarantine", None, as_json=as_json, log=log)


@conflicts.command("list", epilog=EPILOG)
def conflicts_list(as_json: AsJson = False) -> None:
    """List the conflicts that wait for a decision: table, row, column, since when."""
    from credstore_pipeline.core.status import waiting

    with deployment() as found:
        rows = waiting(found)
    put_json(rows) if as_json else put_table("Conflicts", rows, "No conflict waits.")


@conflicts.command("resolve", epilog=EPILOG)
def conflicts_resolve(
    decisions: Annotated[list[str], typer.Argument(metavar="ID=source|target ...")],
    as_json: AsJson = False,
    log: WithLog = False,
) -> None:
    """Settle conflicts: the number from `conflicts list`, and whose value stands."""
    chosen = {}
    for decision in decisions:
        number, _, side = decision.partition("=")
        if not number.isdigit() or side not in ("source", "target"):
            raise typer.BadParameter("write ID=source or ID=target, ID being the number in `credstore conflicts list`")
        chosen[number] = side
    run("resolve_conflicts", {"decisions": chosen}, as_json=as_json, log=log)


def _numbers(pairs: list[str]) -> dict[str, int]:
    found = {}
    for pair in pairs:
        name, _, number = pair.partition("=")
        if not number.isdigit():
            raise typer.BadParameter("write GUARD=NUMBER, both as the refusal showed them")
        found[name] = int(number)
    return found


def _in_short(run: dict[str, Any]) -> dict[str, Any]:
    """A run with the rows that it wrote instead of all its counts."""
    counts = [count for count in run["counts"].values() if isinstance(count, dict)]
    written = sum(count.get(what, 0) for count in counts for what in ("inserted", "updated", "deleted"))
    return {**{name: value for name, value in run.items() if name != "counts"}, "rows_written": written}
