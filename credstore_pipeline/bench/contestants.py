"""The programs that are measured, each into a fresh database of one server, each with the same store."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from credstore_pipeline.bench.measure import Measured, measure
from credstore_pipeline.demo.commands import MATERIALIZE, OURS
from credstore_pipeline.demo.readback import count_rows, drop_database
from credstore_pipeline.demo.stores import Store
from credstore_pipeline.demo.story import prepare_home
from credstore_pipeline.embedded import EmbeddedServer

TARGET_KEY = "bench-target-key-2026"
SHAPE_VARIABLE = "CREDSTORE_BENCH_SHAPE"
"""Names the file from which `empty_steps` takes its shape."""
DAGSTER = str(Path(sys.executable).parent / "dagster")


class BenchFailed(Exception):
    """A measured program did not do its work; its time means nothing."""


@dataclass
class Track:
    """Where the programs run.

    Attributes:
        folder: For homes, snapshots and logs.
        server: The target server, the same for all.
        store: The source.
        credentials: How many rows of them it has.
    """

    folder: Path
    server: EmbeddedServer
    store: Store
    credentials: int

    def pipeline(self) -> tuple[Measured, Measured, Measured]:
        """This pipeline, from the command to its exit, into an empty database under a new key.

        Then once more with nothing changed, and once more after one row in a hundred was.
        """
        home = self._fresh("dagster_home")
        prepare_home(home)
        environment = self._environment(self._database("bench_pipeline"), home)
        # The kept store stays as it is for the other programs.
        changing = self.folder / "changing.db"
        shutil.copyfile(self.store.path, changing)
        environment["CREDSTORE_SQLITE_PATH"] = str(changing)
        first = self._run("pipeline", [DAGSTER, *MATERIALIZE], environment)
        self._expect_rows("bench_pipeline")
        second = self._run("pipeline-again", [DAGSTER, *MATERIALIZE], environment)
        self._expect_rows("bench_pipeline")
        change_one_in_a_hundred(changing)
        third = self._run("pipeline-changed", [DAGSTER, *MATERIALIZE], environment)
        self._expect_rows("bench_pipeline")
        changing.unlink()
        return first, second, third

    def pgloader(self) -> Measured | None:
        """Run pgloader with its own defaults, passwords copied as they stand; None if it is not installed."""
        if shutil.which("pgloader") is None:
            return None
        url = self._database("bench_pgloader")
        script = self._fresh("pgloader") / "copy.load"
        script.touch(mode=0o600)
        script.write_text(f"LOAD DATABASE FROM sqlite://{self.store.path} INTO {url};\n")
        measured = self._run("pgloader", ["pgloader", str(script)], self._environment(url, self.folder))
        self._expect_rows("bench_pgloader")
        return measured

    def orm_script(self) -> Measured:
        """The straightforward SQLAlchemy ORM script, with re-encryption and without proofs."""
        environment = self._environment(self._database("bench_orm"), self.folder)
        environment["CREDSTORE_POSTGRES_URL"] = environment["CREDSTORE_POSTGRES_URL"].replace(
            "postgresql://", "postgresql+psycopg2://"
        )
        command = [sys.executable, "-m", "credstore_pipeline.bench.orm_script", str(self.store.path)]
        measured = self._run("orm-script", command, environment)
        self._expect_rows("bench_orm")
        return measured

    def empty_steps(self) -> Measured:
        """A Dagster run of as many steps and checks that do nothing."""
        home = self._fresh("empty_home")
        prepare_home(home)
        shape = home / "shape.json"
        # Not imported here: a child's peak memory starts at what its parent held, and this process stays small.
        told = subprocess.run([sys.executable, "-m", "credstore_pipeline.bench.shape"], check=True, capture_output=True)
        shape.write_bytes(told.stdout)
        environment = {**self._environment("unused", home), SHAPE_VARIABLE: str(shape)}
        command = [DAGSTER, "asset", "materialize", "-m", "credstore_pipeline.bench.empty_steps", "--select", "*"]
        return self._run("empty-steps", command, environment)

    def _run(self, name: str, command: list[str], environment: dict[str, str]) -> Measured:
        log = self.folder / "logs" / f"{name}-{self.credentials}.log"
        measured = measure(command, environment, log)
        if measured.exit_code:
            raise BenchFailed(f"{name}: exit code {measured.exit_code} after {measured.seconds:.1f} s; see {log}")
        print(f"    {name}: {measured.seconds:.1f} s, {measured.peak_mb:,.0f} MB", flush=True)
        return measured

    def _environment(self, url: str, home: Path) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        return {
            **clean,
            **self.store.environment(),
            "CREDSTORE_TARGET_KEY": TARGET_KEY,
            "CREDSTORE_POSTGRES_URL": url,
            "CREDSTORE_BACKUP_DIR": str(self.folder / "snapshots"),
            "DAGSTER_HOME": str(home),
            "DAGSTER_DISABLE_TELEMETRY": "1",
        }

    def _fresh(self, name: str) -> Path:
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(self.folder / "snapshots", ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def _database(self, name: str) -> str:
        drop_database(self.server.url("postgres"), name)
        return self.server.url(name).set(drivername="postgresql").render_as_string(hide_password=False)

    def _expect_rows(self, database: str) -> None:
        url = self.server.url(database)
        for table, rows in self.store.expected["counts"].items():
            found = count_rows(url, table)
            if found != rows:
                raise BenchFailed(f"{database}: {found} rows in {table} instead of {rows}")


def change_one_in_a_hundred(path: Path) -> None:
    """One login and one edit in every hundredth credential, one priority in every hundredth association."""
    with closing(sqlite3.connect(path)) as store, store:
        store.execute(
            "UPDATE credentials SET username = username || ' x', success_count = coalesce(success_count, 0) + 1 "
            "WHERE rowid % 100 = 37"
        )
        store.execute("UPDATE credential_tags SET priority = coalesce(priority, 0) + 1 WHERE rowid % 100 = 37")
