"""The whole system of compose.yaml as plain processes: the same commands, environment and files, other places."""

import json
import os
import secrets
import shutil
import signal
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
from credstore_pipeline_tests.containers.compose import (
    compose,
    dockerfile,
    entry_point,
    files_of,
    filled,
    places_of,
    project_file,
    target_of,
    variables_of,
)
from credstore_pipeline_tests.lab import OURS, ROOT
from credstore_pipeline_tests.ports import free_port

BIN = Path(sys.executable).parent
FINAL = ("SUCCESS", "FAILURE", "CANCELED")


class System:
    """Services of compose.yaml on one PostgreSQL, in a folder of the test's own."""

    def __init__(self, folder: Path, server: EmbeddedServer, store: Store, given: dict[str, str]) -> None:
        """Lay the folder out as the containers would find theirs: secrets, volumes, the legacy store."""
        self.folder, self.server, self.given = folder, server, given
        self.web, self.grpc = free_port(), free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._declared = compose()
        self._services: dict[str, Any] = self._declared["services"]
        self._stages = dockerfile()
        self.secrets = {name: f"canary-{name}-{secrets.token_urlsafe(9)}" for name in self._declared["secrets"]}
        if store.env.get("encryption_key"):
            self.secrets["netraven_encryption_key"] = store.env["encryption_key"]
        for name, service in self._services.items():
            self._lay_out(name, service, store)

    def up(self) -> None:
        """Start every service, each when what it depends on is as it has to be, as `compose up` does."""
        ready = set[str]()
        waiting = dict(self._services)
        while waiting:
            name = next(one for one, service in waiting.items() if ready >= set(service.get("depends_on", {})))
            for needed, told in waiting.pop(name).get("depends_on", {}).items():
                if told["condition"] == "service_completed_successfully":
                    assert self.processes[needed].wait(300) == 0, self.log(needed)
                else:
                    assert told["condition"] == "service_healthy"
                    self.healthy(needed)
            if name == "postgres":
                assert not self.is_healthy(name), "its scripts have not run yet"
                self._administrate()
            else:
                self._start(name)
            ready.add(name)

    def environment(self, name: str) -> dict[str, str]:
        """What compose and image give the service, with this machine's places."""
        service = self._services[name]
        plain = {each: value for each, value in os.environ.items() if not each.startswith(OURS)}
        built = variables_of(target_of(service)) if "build" in service else {}
        told = {each: self._here(str(value), name) for each, value in {**built, **service["environment"]}.items()}
        found = [BIN, _programs(), self.folder / name / "usr" / "local" / "bin"]
        path = os.pathsep.join([*map(str, found), plain["PATH"]])
        return {**plain, **told, "PATH": path, **({"PGPORT": str(self.server.port)} if name == "postgres" else {})}

    def healthy(self, name: str, max_s: float = 300) -> None:
        """Wait until the service is healthy."""
        deadline = time.monotonic() + max_s
        while not self.is_healthy(name):
            assert name not in self.processes or self.processes[name].poll() is None, self.log(name)
            assert time.monotonic() < deadline, f"{name} is not healthy"
            time.sleep(0.5)

    def is_healthy(self, name: str) -> bool:
        """What the service's own health check says; it sees nothing that the entry point exported."""
        service = self._services[name]
        told = service.get("healthcheck", {}).get("test")
        assert told is None or told[0] == "CMD"
        test = told[1:] if told else self._stages[target_of(service)].healthcheck
        command, environment = [self._here(word, name) for word in test], self.environment(name)
        return not subprocess.run(command, env=environment, cwd=self.folder / name, capture_output=True).returncode

    def crash(self, name: str) -> None:
        """Kill every process of a service at once, as the end of its container does, and start it again."""
        os.killpg(self.processes[name].pid, signal.SIGKILL)
        self.processes[name].wait()
        self._start(name)

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

    def ended(self, found: Callable[[], list[dict[str, Any]]], max_s: float = 600) -> dict[str, Any]:
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
        # Whoever depends on another goes first, and finds none gone.
        for process in reversed(self.processes.values()):
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _lay_out(self, name: str, service: dict[str, Any], store: Store) -> None:
        """Put into the service's folder what its container finds: files of the image, mounts, secrets."""
        root = self.folder / name
        files = files_of(target_of(service)) if "build" in service else {}
        kept = {place: ROOT / source for place, source in files.items() if (ROOT / source).is_file()}
        for source, place, _ in places_of(service):
            if source.startswith("./"):
                kept[place] = project_file(source)
            elif source == "$CREDSTORE_LEGACY_DIR":
                shutil.copytree(store.folder, root / place.strip("/"))
            else:
                (root / place.strip("/")).mkdir(mode=0o700, parents=True, exist_ok=True)
        for place, file in kept.items():
            if place.startswith("/"):
                (root / place.strip("/")).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, root / place.strip("/"))
        (root / "srv" / "credstore").mkdir(parents=True, exist_ok=True)
        (root / "run" / "secrets").mkdir(mode=0o700, parents=True)
        for secret in service.get("secrets", []):
            (root / "run" / "secrets" / secret).write_text(f"{self.secrets[secret]}\n")

    def _administrate(self) -> None:
        """Run what the PostgreSQL image runs from /docker-entrypoint-initdb.d, in that order."""
        service, url = self._services["postgres"], self.server.url("netraven")
        assert service["environment"]["POSTGRES_DB"] == url.database
        environment = {
            **self.environment("postgres"),
            "PGHOST": "127.0.0.1",
            "PGPASSWORD": str(url.password),
            "POSTGRES_USER": str(url.username),
        }
        sql = ["psql", "-q", "-X", "-v", "ON_ERROR_STOP=1", "-U", environment["POSTGRES_USER"], "-d", "netraven"]
        places = sorted(place for _, place, _ in places_of(service) if place.startswith("/docker-entrypoint-initdb.d/"))
        for place in places:
            file = str(self.folder / "postgres" / place.strip("/"))
            command = [file] if file.endswith(".sh") else [*sql, "-f", file]
            # Twice: a volume that was kept is administrated anew by hand.
            for _ in range(2):
                subprocess.run(command, env=environment, check=True, capture_output=True)

    def _start(self, name: str) -> None:
        """Start a service as an engine would, its output in a file."""
        service, target = self._services[name], target_of(self._services[name])
        command = [*entry_point(target), *(service.get("command") or self._stages[target].last("CMD"))]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [self._here(word, name) for word in command],
                cwd=self.folder / name / "srv" / "credstore",
                env=self.environment(name),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _here(self, text: str, name: str) -> str:
        """A word of the containers' with this machine's hosts, ports and places in it."""
        whole = {
            **dict.fromkeys((*(set(self._services) - {name}), "0.0.0.0"), "127.0.0.1"),
            "5432": str(self.server.port),
            "4000": str(self.grpc),
            "3000": str(self.web),
        }
        if text in whole:
            return whole[text]
        for inside in ("/run/secrets", "/srv/credstore", "/legacy", "/usr/local/bin/credstore-entrypoint"):
            text = text.replace(inside, f"{self.folder / name}{inside}")
        text = text.replace("http://127.0.0.1:3000", f"http://127.0.0.1:{self.web}")
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
