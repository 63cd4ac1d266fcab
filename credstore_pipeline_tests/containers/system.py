"""The whole system of compose.yaml as plain processes: the same commands, environment and files, other places."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from credstore_pipeline.demo.stores import Store
from credstore_pipeline.embedded import EmbeddedServer
from credstore_pipeline.embedded.binaries import WHEEL
from credstore_pipeline_tests.containers.compose import DOCKER, compose, dockerfile, filled, target_of
from credstore_pipeline_tests.lab import OURS

BIN = Path(sys.executable).parent
SECRETS = ("postgres_password", "migrator_password", "app_password", "dagster_password", "netraven_encryption_key")
FINAL = ("SUCCESS", "FAILURE", "CANCELED")


def free_port() -> int:
    """A TCP port on loopback that nobody has just now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class System:
    """Services of compose.yaml on one PostgreSQL, in a folder of the test's own."""

    def __init__(self, folder: Path, server: EmbeddedServer, store: Store, given: dict[str, str]) -> None:
        """Lay the folder out as the containers would find theirs: secrets, volumes, the legacy store."""
        self.folder, self.server, self.given = folder, server, given
        self.web, self.grpc = free_port(), free_port()
        self.secrets = {name: f"canary-{name}-{secrets.token_urlsafe(9)}" for name in SECRETS}
        self.secrets["netraven_encryption_key"] = store.env.get("encryption_key") or self.secrets[SECRETS[-1]]
        (folder / "secrets").mkdir(mode=0o700, parents=True)
        for name, text in self.secrets.items():
            (folder / "secrets" / name).write_text(f"{text}\n")
        shutil.copytree(store.folder, folder / "legacy")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._services: dict[str, Any] = compose()["services"]
        self._stages = dockerfile()

    def administrate(self) -> None:
        """Run what the PostgreSQL image runs from /docker-entrypoint-initdb.d."""
        url = self.server.url("netraven")
        environment = {
            "PATH": os.pathsep.join([str(_programs()), os.environ["PATH"]]),
            "PGHOST": "127.0.0.1",
            "PGPORT": str(url.port),
            "PGPASSWORD": str(url.password),
            "POSTGRES_USER": str(url.username),
            "POSTGRES_DB": "netraven",
        }
        declared = self._services["postgres"]["environment"]
        for name in ("MIGRATOR_PASSWORD_FILE", "APP_PASSWORD_FILE", "DAGSTER_PASSWORD_FILE"):
            environment[name] = self._here(declared[name])
        sql = ["psql", "-q", "-X", "-v", "ON_ERROR_STOP=1", "-U", environment["POSTGRES_USER"], "-d", "netraven"]
        subprocess.run([*sql, "-f", DOCKER / "sql" / "roles.sql"], env=environment, check=True, capture_output=True)
        for _ in range(2):
            subprocess.run([DOCKER / "sql" / "logins.sh"], env=environment, check=True, capture_output=True)

    def start(self, name: str) -> None:
        """Start a service as compose would, its output in a file."""
        home = self.folder / name / "srv" / "credstore" / "dagster_home"
        home.mkdir(parents=True)
        shutil.copy(DOCKER / "dagster.yaml", home)
        shutil.copy(DOCKER / "workspace.docker.yaml", home.parent)
        (home.parent / "snapshots").mkdir(mode=0o700)
        service = self._services[name]
        command = service.get("command") or self._stages[target_of(service)].last("CMD")
        entry = [DOCKER / "entrypoint.sh"]
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [*entry, *(self._here(word, name) for word in command)],
                cwd=home.parent,
                env=self.environment(name),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def environment(self, name: str) -> dict[str, str]:
        """What compose and image give the service, with this machine's places."""
        service = self._services[name]
        plain = {each: value for each, value in os.environ.items() if not each.startswith(OURS)}
        told = {
            "DAGSTER_HOME": "/srv/credstore/dagster_home",
            "DAGSTER_DISABLE_TELEMETRY": "1",
            **({"CREDSTORE_BACKUP_DIR": "/srv/credstore/snapshots"} if target_of(service) == "code" else {}),
            **service["environment"],
        }
        found = {each: self._here(str(value), name) for each, value in told.items()}
        return {**plain, **found, "PATH": os.pathsep.join([str(BIN), plain["PATH"]])}

    def healthy(self, name: str, max_s: float = 90) -> None:
        """Wait until the service's own health check says so."""
        service = self._services[name]
        test = service.get("healthcheck", {}).get("test", [None])[1:] or self._stages[target_of(service)].healthcheck
        command = [self._here(word, name) for word in test]
        environment = self.environment(name)
        given = self.secrets["dagster_password"]
        deadline = time.monotonic() + max_s
        while True:
            # A health check sees the container's environment, and not what its entry point exported.
            done = subprocess.run(
                [DOCKER / "entrypoint.sh", *command] if given else command, env=environment, capture_output=True
            )
            if done.returncode == 0:
                return
            assert self.processes[name].poll() is None, self.log(name)
            assert time.monotonic() < deadline, self.log(name)
            time.sleep(0.5)

    def log(self, name: str) -> str:
        """What a service said."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def ask(self, query: str, **given: Any) -> Any:
        """Ask the webserver's GraphQL."""
        body = json.dumps({"query": query, "variables": given}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.web}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = json.load(answer)
        assert "errors" not in found, found
        return found["data"]

    def launch(self, job: str) -> str:
        """Launch a job as the UI does; returns the run's id."""
        found = self.ask(LAUNCH, job=job)["launchRun"]
        assert found["__typename"] == "LaunchRunSuccess", found
        return str(found["run"]["runId"])

    def runs(self, **tags: str) -> list[dict[str, Any]]:
        """Runs with the tags, the newest first."""
        wanted = {"tags": [{"key": key, "value": value} for key, value in tags.items()]}
        return list(self.ask(RUNS, filter=wanted if tags else {})["runsOrError"]["results"])

    def ended(self, found: Callable[[], list[dict[str, Any]]], max_s: float = 150) -> dict[str, Any]:
        """Wait until the newest of the runs ended; returns it."""
        deadline = time.monotonic() + max_s
        while True:
            ended = [run for run in found() if run["status"] in FINAL]
            if ended:
                return ended[0]
            assert time.monotonic() < deadline, (self.runs(), self.log("code")[-3000:], self.log("daemon")[-3000:])
            time.sleep(0.5)

    def stop(self) -> None:
        """End every service."""
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _here(self, text: str, name: str = "") -> str:
        """A word of the containers' with this machine's hosts, ports and places in it."""
        port = str(self.server.port)
        whole = {
            "postgres": "127.0.0.1",
            "code": "127.0.0.1",
            "5432": port,
            "4000": str(self.grpc),
            "0.0.0.0": "127.0.0.1",
        }
        whole["3000"] = str(self.web)
        if text in whole:
            return whole[text]
        for inside, here in (
            ("/run/secrets", self.folder / "secrets"),
            ("/srv/credstore", self.folder / name / "srv" / "credstore"),
            ("/legacy", self.folder / "legacy"),
            ("http://127.0.0.1:3000", f"http://127.0.0.1:{self.web}"),
        ):
            text = text.replace(inside, str(here))
        return filled(text, self.given)


def _programs() -> Path:
    import importlib.util

    spec = importlib.util.find_spec(WHEEL)
    assert spec and spec.submodule_search_locations
    return max(Path(spec.submodule_search_locations[0]).glob("pginstall*/bin"))


LAUNCH = """
mutation ($job: String!) {
  launchRun(executionParams: {selector: {
    repositoryLocationName: "credstore_pipeline", repositoryName: "__repository__", jobName: $job
  }}) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""
RUNS = (
    "query ($filter: RunsFilter) { runsOrError(filter: $filter) { ... on Runs { results { runId status jobName } } } }"
)
