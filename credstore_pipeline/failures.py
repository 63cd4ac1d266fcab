"""Tells a person of a failed run: ids and counts, and nothing that an error may quote."""

import json
import os
import shlex
import subprocess
import urllib.error
import urllib.request
from datetime import UTC, datetime

from credstore_pipeline.core.errors import CredstoreError

TOLD_MAX_S = 15
_OURS = ("CREDSTORE_", "NETRAVEN_", "POSTGRES_", "DAGSTER_")
_LEFT = "The run's own outcome is in the UI."


class NotTold(CredstoreError):
    """Nobody could be told of a failed run."""


def tell_of_failure(command: str | None, webhook: str | None, *, run_id: str, job: str, steps: list[str]) -> None:
    """Tell both where they are given.

    Args:
        command: A command line; it gets the message on its standard input and none of the pipeline's settings.
        webhook: An address; the message is posted to it.
        run_id: Which run.
        job: Of which job.
        steps: Which of its steps failed.

    Raises:
        NotTold: If one of them did not take it.
    """
    message = json.dumps(
        {
            "event": "credstore_run_failed",
            "run_id": run_id,
            "job": job,
            "failed_steps": steps,
            "failed_step_count": len(steps),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )
    if command:
        _start(command, message)
    if webhook:
        _post(webhook, message)


def _start(command: str, message: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    try:
        ended = subprocess.run(
            shlex.split(command), input=message, text=True, env=environment, capture_output=True, timeout=TOLD_MAX_S
        ).returncode
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise NotTold(
            "CREDSTORE_FAILURE_COMMAND", f"it could not be run ({type(error).__name__})", state=_LEFT
        ) from None
    if ended:
        raise NotTold("CREDSTORE_FAILURE_COMMAND", f"it ended with {ended}", state=_LEFT)


def _post(webhook: str, message: str) -> None:
    if not webhook.startswith(("https://", "http://")):
        raise NotTold("CREDSTORE_FAILURE_WEBHOOK", "it is no http or https URL", state=_LEFT)
    request = urllib.request.Request(  # noqa: S310 - asked just before
        webhook, data=message.encode(), headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=TOLD_MAX_S):  # noqa: S310
            return
    except (OSError, ValueError) as error:
        wrong = str(error.code) if isinstance(error, urllib.error.HTTPError) else type(error).__name__
        raise NotTold("CREDSTORE_FAILURE_WEBHOOK", f"it was not taken ({wrong})", state=_LEFT) from None
