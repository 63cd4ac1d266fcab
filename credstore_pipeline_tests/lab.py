"""A made-up store, a database of its own and a Dagster home: runs jobs on them as a user would."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa

from credstore_pipeline.core.deployment import Target
from credstore_pipeline.demo.stores import Store, build_store

ROOT = Path(__file__).parents[1]
OURS = ("CREDSTORE_", "POSTGRES_", "NETRAVEN_", "DAGSTER_")
DAGSTER = str(Path(sys.executable).parent / "dagster")
ALLOW_ALL = {"CREDSTORE_MAX_QUARANTINED": "1000", "CREDSTORE_MAX_QUARANTINED_LINKS": "1000"}


@dataclass
class Run:
    """What one run in this process left in Dagster's event log."""

    success: bool
    run_id: str
    events: list[dg.DagsterEvent]
    log: list[str]

    @property
    def checks(self) -> dict[str, bool]:
        """Check name -> passed."""
        kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
        evaluated = [event.asset_check_evaluation_data for event in self.events if event.event_type == kind]
        return {found.check_name: found.passed for found in evaluated}

    @property
    def failure(self) -> str:
        """The failed steps' first lines, as the UI shows them."""
        failed = [event.step_failure_data for event in self.events if event.is_step_failure]
        return "\n".join(
            str(data.user_failure_data.description if data.user_failure_data else data.error) for data in failed
        )

    def metadata(self, asset: str) -> dict[str, Any]:
        """The metadata of an asset's materialization."""
        key = dg.AssetKey(asset.split("/"))
        for event in self.events:
            if event.is_step_materialization and event.asset_key == key:
                return {name: entry.value for name, entry in event.materialization.metadata.items()}
        raise KeyError(asset)


@dataclass
class Lab:
    """Everything one test works with."""

    folder: Path
    database: Target
    store: Store
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """DAGSTER_HOME."""
        return self.folder / "dagster_home"

    @property
    def snapshots(self) -> Path:
        """CREDSTORE_BACKUP_DIR."""
        return self.folder / "snapshots"

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a run: nothing of ours but what is set here."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        self.home.mkdir(exist_ok=True)
        (self.home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        return {
            **plain,
            "DAGSTER_HOME": str(self.home),
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "CREDSTORE_BACKUP_DIR": str(self.snapshots),
            "CREDSTORE_POSTGRES_URL": self.database.url.render_as_string(hide_password=False),
            "CREDSTORE_TARGET_KEY": "a made-up target key",
            "CREDSTORE_MAX_DOWNTIME_S": "3600",
            **self.store.environment(),
            **self.settings,
            **more,
        }

    def run(
        self, job: str = "migrate", *, only: tuple[str, ...] = (), config: dict[str, Any] | None = None, **settings: str
    ) -> Run:
        """Run a job, or `only` some of its assets, in this process, with the real Dagster and its event log on disk."""
        from credstore_pipeline.definitions import defs

        with self._instance(settings) as instance:
            result = defs.resolve_job_def(job).execute_in_process(
                instance=instance,
                run_config=config,
                raise_on_error=False,
                asset_selection=[dg.AssetKey(name.split("/")) for name in only] or None,
            )
            return _recorded(result, instance)

    def again(
        self,
        run: Run,
        job: str = "migrate",
        *,
        from_failure: bool = False,
        steps: tuple[str, ...] = (),
        config: dict[str, Any] | None = None,
        **settings: str,
    ) -> Run:
        """Re-execute a run as the UI does: all steps, or those that failed, or the chosen ones (`postgres+`)."""
        how = dg.ReexecutionOptions(run.run_id, steps)
        with self._instance(settings) as instance:
            if from_failure:
                how = dg.ReexecutionOptions.from_failure(run.run_id, instance)
            found = dg.build_reconstructable_job(__name__, job_named.__name__, (job,))
            with dg.execute_job(found, instance, run_config=config, reexecution_options=how) as result:
                return _recorded(result, instance)

    @contextmanager
    def _instance(self, settings: dict[str, str]) -> Iterator[dg.DagsterInstance]:
        before = dict(os.environ)
        os.environ.clear()
        os.environ.update(self.environment(**settings))
        try:
            with dg.DagsterInstance.get() as instance:
                yield instance
        finally:
            os.environ.clear()
            os.environ.update(before)

    def command(self, *arguments: str, program: str = DAGSTER, **settings: str) -> "subprocess.CompletedProcess[str]":
        """Run the real command line: `dagster` materializing everything, unless told otherwise."""
        return subprocess.run(
            [
                program,
                *(arguments or ("asset", "materialize", "-m", "credstore_pipeline.definitions", "--select", "*")),
            ],
            cwd=ROOT,
            env=self.environment(**settings),
            capture_output=True,
            text=True,
            timeout=900,
        )

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement as the application would and return its rows."""
        engine = sa.create_engine(self.database.url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            result = connection.exec_driver_sql(statement, values or None)
            return [tuple(row) for row in result] if result.returns_rows else []

    def state(self, schema: str = "public") -> list[tuple[Any, ...]]:
        """Every row of the schema's tables with its transaction id: equal means nothing was rewritten."""
        tables = self.sql("SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1", schema)
        return [
            (table, *row)
            for (table,) in tables
            for row in self.sql(f'SELECT t.xmin::text, t::text FROM "{schema}"."{table}" t ORDER BY 2')
        ]

    def quarantined(self) -> dict[str, dict[str | None, str]]:
        """Table -> source id -> reason of the open quarantine rows."""
        found: dict[str, dict[str | None, str]] = {"credentials": {}, "credential_tags": {}, "tags": {}}
        for table, row_id, reason in self.sql(
            "SELECT source_table, source_id, reason FROM credstore_sync.quarantine WHERE resolved_at IS NULL"
        ):
            found[table][row_id] = reason
        return found

    def report(self, run: Run) -> dict[str, Any]:
        """The run's report as data."""
        return json.loads((self.home / "reports" / run.run_id / "report.json").read_text())


def job_named(name: str) -> dg.JobDefinition:
    """A job of ours, found anew by its name: Dagster re-executes only what can be found so."""
    from credstore_pipeline.definitions import defs

    return defs.resolve_job_def(name)


def _recorded(result: dg.ExecuteInProcessResult | dg.JobExecutionResult, instance: dg.DagsterInstance) -> Run:
    logged = [record.user_message for record in instance.all_logs(result.run_id)]
    return Run(result.success, result.run_id, list(result.all_events), logged)


def make_lab(folder: Path, database: Target, flavour: str, **how: Any) -> Lab:
    """Build a store of the flavour in the folder and set the lab up around it."""
    return Lab(folder, database, build_store(folder / "store", flavour, **how))


def copy_store(lab: Lab, to: Path) -> None:
    """Copy the store's folder aside."""
    shutil.copytree(lab.store.folder, to)
