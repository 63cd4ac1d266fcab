"""Tells a person of a failed run: ids and counts, and nothing that an error may quote."""

import http.client
import json
import os
import shlex
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_after_delay, wait_fixed

from credstore_pipeline.core.errors import CredstoreError

TOLD_MAX_S = 15
"""For all tries of one of the two; Dagster gives the tick 60 s for both."""
ATTEMPTS = 3
PAUSE_S = 1
_OURS = ("CREDSTORE_", "NETRAVEN_", "POSTGRES_", "DAGSTER_")
_LEFT = "The run's own outcome is in the UI."
_ONCE = "Dagster does not tell of the same run again."


class NotTold(CredstoreError):
    """Nobody could be told of a failed run."""


def tell_of_failure(command: str | None, webhook: str | None, *, run_id: str, job: str, steps: list[str]) -> None:
    """Tell both where they are given, the second even if the first did not take it.

    Each is tried three times: Dagster moves on to the next run whatever happens here.

    Args:
        command: A command line; it gets the message on its standard input and none of the pipeline's settings.
        webhook: An address; the message is posted to it.
        run_id: Which run.
        job: Of which job.
        steps: Which of its steps failed.

    Raises:
        NotTold: If one of them did not take it; after both were tried.
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
    ways: list[tuple[Callable[[str, str, float], None], str]] = []
    if command:
        ways.append((_start, command))
    if webhook:
        ways.append((_post, webhook))
    failed = []
    for way, to in ways:
        try:
            _try(way, to, message)
        except NotTold as error:
            failed.append(error)
    if failed:
        first, *others = failed
        wrong = "; ".join([first.wrong, *(f"{other.where}: {other.wrong}" for other in others)])
        raise NotTold(first.where, wrong, state=_LEFT, todo=_ONCE)


def _try(way: Callable[[str, str, float], None], to: str, message: str) -> None:
    until = time.monotonic() + TOLD_MAX_S
    tries = Retrying(
        retry=retry_if_exception_type(NotTold),
        stop=stop_after_attempt(ATTEMPTS) | stop_after_delay(TOLD_MAX_S),
        wait=wait_fixed(PAUSE_S),
        reraise=True,
    )
    tries(lambda: way(to, message, max(0.1, until - time.monotonic())))


def _start(command: str, message: str, max_s: float) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    try:
        ended = subprocess.run(
            shlex.split(command),
            input=message,
            text=True,
            env=environment,
            # Not through pipes: what the command started itself could keep those open beyond its end.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=max_s,
        ).returncode
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise NotTold("CREDSTORE_FAILURE_COMMAND", f"it could not be run ({type(error).__name__})") from None
    if ended:
        raise NotTold("CREDSTORE_FAILURE_COMMAND", f"it ended with {ended}")


def _post(webhook: str, message: str, max_s: float) -> None:
    if not webhook.startswith(("https://", "http://")):
        raise NotTold("CREDSTORE_FAILURE_WEBHOOK", "it is no http or https URL")
    request = urllib.request.Request(  # noqa: S310 - asked just before
        webhook, data=message.encode(), headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=max_s):  # noqa: S310
            return
    except (OSError, ValueError, http.client.HTTPException) as error:
        wrong = str(error.code) if isinstance(error, urllib.error.HTTPError) else type(error).__name__
        raise NotTold("CREDSTORE_FAILURE_WEBHOOK", f"it was not taken ({wrong})") from None
