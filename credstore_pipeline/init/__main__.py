"""The program `credstore-init`."""

import argparse
import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy.engine import URL

from credstore_pipeline.core.errors import CredstoreError, SettingsError
from credstore_pipeline.deployments import seeding_from
from credstore_pipeline.init.steps import prepare_and_seed
from credstore_pipeline.init.waiting import until_it_answers
from credstore_pipeline.settings_reading import read_seed_settings

DONE, FAILED, SETTINGS_WRONG = 0, 1, 2
"""Exit codes."""

ABOUT = """\
Waits for PostgreSQL, makes the application's tables that are missing, and seeds the default tags, and the default
credentials that a password is given for. Changes nothing that is there; can be run any number of times.
Everything is set by environment variables: docs/containers.md, "credstore-init".
Exit codes: 0 done, 1 PostgreSQL cannot be used, 2 settings are missing or wrong.
"""


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run the program; says what it does on standard output, and why it failed in one line on standard error."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("credstore-init", description=ABOUT, formatter_class=formatter)
    parser.add_argument("--indexes", action="store_true", help="build the indexes that a large store gains from, too")
    given = parser.parse_args(arguments)
    with ExitStack() as started:

        def start_embedded(base: Path | None) -> URL:
            # Imported here: a server of one's own is the exception.
            from credstore_pipeline.embedded import embedded_server

            return started.enter_context(embedded_server(base)).url()

        try:
            settings = read_seed_settings(environ)
            seeding = seeding_from(settings, start_embedded)
            run_id = f"init-{uuid.uuid4()}"
            until_it_answers(
                lambda: prepare_and_seed(seeding, run_id, _say, indexes=given.indexes),
                place=seeding.target.place,
                max_s=settings.CREDSTORE_INIT_MAX_S,
                say=_say,
            )
        except CredstoreError as error:
            print(f"credstore-init: {' '.join(str(error).split())}", file=sys.stderr)
            return SETTINGS_WRONG if isinstance(error, SettingsError) else FAILED
    _say("done")
    return DONE


def _say(text: str) -> None:
    # Flushed: a container's log is read while it waits.
    print(f"credstore-init: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
