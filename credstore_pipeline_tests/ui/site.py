"""`dagster dev` as `make ui` starts it, on a home, a store and a database of its own; and a browser that notes all."""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Response, WebSocket, sync_playwright

from credstore_pipeline_tests.lab import OURS, ROOT
from credstore_pipeline_tests.ports import free_port

CHROMIUM = "/usr/bin/chromium"
START_S = 300
RUN_S = 600
SHOWN_MS = 120_000
SETTLED_MS = 1_500
"""Pictures are drawn a moment after their text is there."""

GROUPS = ("source", "extract", "preflight", "validate", "load", "report")
"""Groups in the order of the flow."""


@dataclass
class Site:
    """A running UI.

    Attributes:
        home: DAGSTER_HOME.
        settings: Variables beside those of this process.
        port: Where it listens, on loopback.
    """

    home: Path
    settings: dict[str, str]
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Where the UI is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, **more: str) -> None:
        """Start it with further settings, and wait until it loaded the code."""
        self.port = free_port()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        environment = {
            **kept,
            **self.settings,
            "DAGSTER_HOME": str(self.home),
            "DAGSTER_DISABLE_TELEMETRY": "1",
            **more,
        }
        dagster = str(Path(sys.executable).parent / "dagster")
        with (self.home.parent / "ui.log").open("ab") as log:
            self.process = subprocess.Popen(
                [dagster, "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(self.port)],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.loaded()

    def loaded(self) -> None:
        """Wait until it has loaded the code.

        Raises:
            TimeoutError: With the end of its log.
        """
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            try:
                if self.ask("{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }")[
                    "repositoriesOrError"
                ].get("nodes"):
                    return
            except OSError:  # not there yet, or not answering yet
                pass
            time.sleep(0.5)
        log = self.home.parent / "ui.log"
        raise TimeoutError(log.read_text()[-3000:] if log.exists() else self.url)

    def stop(self) -> None:
        """End it with everything that it started."""
        if self.process is None:
            return
        for how in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, how)
                self.process.wait(20)
                break
            except subprocess.TimeoutExpired:
                continue
            except ProcessLookupError:
                break
        self.process = None

    def ask(self, query: str, **variables: Any) -> Any:
        """Ask its GraphQL."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["data"]

    def runs(self) -> list[dict[str, Any]]:
        """Runs, the newest first."""
        found = self.ask("{ runsOrError { ... on Runs { results { runId status jobName } } } }")
        return list(found["runsOrError"]["results"])

    def ended(self, before: int) -> dict[str, Any]:
        """Wait for the end of the one run that came after `before` others."""
        until = time.monotonic() + RUN_S
        while time.monotonic() < until:
            runs = self.runs()
            if len(runs) > before and runs[0]["status"] in ("SUCCESS", "FAILURE", "CANCELED"):
                return runs[0]
            time.sleep(1)
        raise TimeoutError(str(self.runs()))

    def debug_file(self, run_id: str) -> bytes:
        """What the UI hands out as a run's debug file, unpacked: its events and settings."""
        with urllib.request.urlopen(f"{self.url}/download_debug/{run_id}", timeout=60) as answer:
            return gzip.decompress(answer.read())


@dataclass
class Noted:
    """What a browser's pages got and did.

    Attributes:
        bodies: Each answer as text, with its address.
        hosts: Where requests went.
        complaints: Errors on the console and in scripts.
    """

    bodies: list[tuple[str, bytes]] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> Page:
        """Note everything from now on."""
        page.set_default_timeout(SHOWN_MS)
        page.on("request", lambda request: self._goes(request.url))
        page.on("response", self._came)
        page.on("websocket", self._opened)
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def keep(self, page: Page) -> str:
        """The page's text, kept to be searched with its markup."""
        self.bodies.append((page.url, page.content().encode()))
        return page.inner_text("body")

    def _goes(self, url: str) -> None:
        scheme, _, rest = url.partition("://")
        if scheme in ("http", "https", "ws", "wss"):
            self.hosts.add(rest.split("/")[0])

    def _came(self, response: Response) -> None:
        kind = response.headers.get("content-type", "")
        if "json" in kind or "text/html" in kind or "text/plain" in kind:
            try:
                self.bodies.append((response.url, response.body()))
            except Exception:  # the page went on before the body had come; its data comes again with the next one
                return

    def _opened(self, socket: WebSocket) -> None:
        self._goes(socket.url)
        socket.on("framereceived", lambda frame: self.bodies.append((socket.url, _as_bytes(frame))))


@contextmanager
def browser() -> Iterator[Browser]:
    """Debian's Chromium; nothing is downloaded."""
    with sync_playwright() as playwright:
        # As root Chromium has no sandbox; it shows pages of this machine alone.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield started
        started.close()


def materialize_all(page: Page, url: str) -> None:
    """Click the button that launches everything on a page of assets; the list of runs tells whether it did."""
    page.goto(url)
    page.get_by_role("button", name="Materialize all").click()


def says(page: Page, pattern: str) -> str:
    """The page's text as soon as it says that; what was seen before is shown while it is read anew."""
    until = time.monotonic() + SHOWN_MS / 1000
    while not re.search(pattern, text := page.inner_text("body"), re.MULTILINE):
        assert time.monotonic() < until, f"no {pattern!r} in {text}"
        page.wait_for_timeout(250)
    return text


def _as_bytes(frame: str | bytes) -> bytes:
    return frame.encode() if isinstance(frame, str) else frame
