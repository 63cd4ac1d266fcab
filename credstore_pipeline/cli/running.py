"""What each command that launches a job does around it: settings first, then the run, then its outcome."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from sqlalchemy.engine import URL

from credstore_pipeline.cli.codes import Exit
from credstore_pipeline.cli.output import put_error, put_json, put_table, put_text
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.errors import CredstoreError

if TYPE_CHECKING:
    from credstore_pipeline.cli.launching import Launched

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
WithLog = Annotated[bool, typer.Option("--log", help="Show Dagster's log on stderr instead of progress bars.")]


@contextmanager
def deployment() -> Iterator[Deployment]:
    """The deployment as the environment describes it; ends the command with 3 if it cannot be had or read."""
    # Imported here: --help and completion need none of it.
    from credstore_pipeline.deployments import deployment_from
    from credstore_pipeline.settings_reading import read_settings

    try:
        with ExitStack() as started:

            def start_embedded(base: Path | None) -> URL:
                from credstore_pipeline.embedded import embedded_server

                return started.enter_context(embedded_server(base)).url()

            yield deployment_from(read_settings(), start_embedded)
    except CredstoreError as error:
        put_error(str(error))
        raise typer.Exit(Exit.NOT_READY) from None


def run(job: str, config: Mapping[str, Any] | None, *, as_json: bool, log: bool) -> None:
    """Launch the job in this process and end the command as the run ended."""
    with deployment() as found:
        # Imported here: Dagster takes seconds, and wrong settings are told at once.
        from credstore_pipeline.cli.launching import UnknownJob, launch

        try:
            ended = launch(job, config, found.places.report_dir, quiet=as_json or log, log=log)
        except UnknownJob as wrong:
            put_error(f"{wrong}.")
            raise typer.Exit(Exit.USAGE) from None
        # Told before the embedded server is left: what fails there takes nothing of it away.
        if as_json:
            put_json({"job": job, **asdict(ended)})
        else:
            _put(job, ended)
    if not ended.success:
        raise typer.Exit(Exit.RED)


def _put(job: str, ended: "Launched") -> None:
    for part in ended.parts:
        good = part.outcome in ("done", "warning")
        put_text(f"{part.stage}: {part.outcome}", "bold" if good else "bold red")
        put_text(part.text)
    for title, rows in ((title, rows) for part in ended.parts for title, rows in part.tables.items()):
        if title == "Census":
            put_table(title, rows, "")
    for name, shown in ended.figures.items():
        if isinstance(shown, list):
            put_table(name, shown, "")
        else:
            put_text(f"{name.replace('_', ' ')}: {shown}")
    told = {part.text for part in ended.parts}
    for failure in ended.failures:
        if failure not in told:
            put_text(failure, "red")
    put_text(f"{job}: {'green' if ended.success else 'red'}, run {ended.run_id}", "bold")
    if ended.report:
        put_text(f"Report: {ended.report}")
