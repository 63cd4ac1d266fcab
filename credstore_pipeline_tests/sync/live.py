"""A real `dagster dev` with schedule and sensor on a lab, beside which command lines launch the same jobs."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorTick, TickStatus

from credstore_pipeline.demo.story import prepare_home
from credstore_pipeline_tests import waiting
from credstore_pipeline_tests.lab import ALLOW_ALL, OURS, Lab
from credstore_pipeline_tests.ui.site import Site

FINAL = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
ENABLED = {
    **ALLOW_ALL,
    "CREDSTORE_RESYNC_ENABLED": "true",
    "CREDSTORE_RESYNC_CRON": "* * * * *",
    "CREDSTORE_SENSOR_MIN_S": "0",
    "CREDSTORE_LOCK_WAIT_S": "2",
}
await_true = partial(waiting.await_true, pause_s=0.3)
"""For what takes seconds and is asked of a history that others write."""
LAUNCH = """
mutation ($job: String!, $config: RunConfigData) {
  launchRun(executionParams: {runConfigData: $config, selector: {
    repositoryLocationName: "credstore_pipeline", repositoryName: "__repository__", jobName: $job
  }}) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }
}
"""


class Live:
    """Everything that may launch a run on one lab, at the same time.

    Attributes:
        at: The lab; its settings are the UI's and the command line's.
        site: The UI with its daemon.
    """

    def __init__(self, at: Lab, site: Site, instance: dg.DagsterInstance) -> None:
        """Read the history that UI, daemon and command lines write."""
        self.at, self.site, self._instance = at, site, instance

    def launch(self, job: str, config: dict[str, Any] | None = None) -> str:
        """Launch a job as the UI's Launchpad does, and give the run's id."""
        found = self.site.ask(LAUNCH, job=job, config=config or {})["launchRun"]
        assert found["__typename"] == "LaunchRunSuccess", found
        return str(found["run"]["runId"])

    def runs(self, **tags: str) -> list[dg.DagsterRun]:
        """Runs with the tags, the newest first."""
        return list(self._instance.get_runs(dg.RunsFilter(tags=tags)))

    def by(self, launcher: str) -> list[dg.DagsterRun]:
        """Runs that the schedule or the sensor launched."""
        return self.runs(**{"credstore/launched_by": launcher})

    def ended(self, run_id: str) -> dg.DagsterRun:
        """Wait for the end of a run."""

        def found() -> dg.DagsterRun:
            run = self._instance.get_run_by_id(run_id)
            assert run
            return run

        await_true(lambda: found().status in FINAL, said=self.history)
        return found()

    def idle(self) -> None:
        """Wait until no run is going."""
        await_true(lambda: all(run.status in FINAL for run in self.runs()), said=self.history)

    def failure(self, run_id: str) -> str:
        """What the failed steps of a run say."""
        failed = [
            entry.dagster_event.step_failure_data
            for entry in self._instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
            if entry.dagster_event
        ]
        return "\n".join(
            str(data.user_failure_data.description if data.user_failure_data else data.error) for data in failed
        )

    def skips(self, name: str) -> list[str]:
        """What the ticks of the schedule or the sensor said that launched nothing, the newest first."""
        return [str(tick.skip_reason) for tick in self._ticks(name) if tick.status is TickStatus.SKIPPED]

    def history(self) -> str:
        """Runs and ticks, for a test that waited in vain."""
        runs = [f"{run.run_id} {run.job_name} {run.status.value} {dict(run.tags)}" for run in self.runs()]
        ticks = [
            f"{name} {tick.timestamp:.0f} {tick.status.value} {tick.skip_reason or tick.run_ids} {tick.error or ''}"
            for name in ("resync_schedule", "source_changed_sensor")
            for tick in self._ticks(name)
        ]
        return "\n".join((*runs, *ticks))

    def _ticks(self, name: str) -> Sequence[InstigatorTick]:
        states = [state for state in self._instance.all_instigator_state() if state.instigator_name == name]
        return [
            tick for state in states for tick in self._instance.get_ticks(state.instigator_origin_id, state.selector_id)
        ]


@contextmanager
def live(at: Lab, **settings: str) -> Iterator[Live]:
    """Schedule and sensor run each minute while the block does."""
    at.settings |= {**ENABLED, **settings}
    own = {name: value for name, value in at.environment().items() if name.startswith(OURS)}
    prepare_home(at.home)
    before = dict(os.environ)
    os.environ.update(DAGSTER_DISABLE_TELEMETRY="1")
    site = Site(at.home, own)
    try:
        with dg.DagsterInstance.from_config(str(at.home)) as instance:
            # Programs that set up one new DAGSTER_HOME at once are Dagster's own trouble.
            assert instance.get_runs_count() + len(instance.get_asset_records() + instance.all_instigator_state()) == 0
            site.start()
            yield Live(at, site, instance)
    finally:
        site.stop()
        os.environ.clear()
        os.environ.update(before)
