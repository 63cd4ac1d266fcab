"""Who is told of a failed run, when one of the two ways fails: Dagster asks only once."""

import json
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from credstore_pipeline import failures
from credstore_pipeline.failures import NotTold, tell_of_failure

SHIPPED = failures.TOLD_MAX_S, failures.PAUSE_S
TOLD = {"run_id": "r", "job": "resync", "steps": ["postgres"]}


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    """A command may take its time to start, tries follow each other at once, no proxy is asked for this machine."""
    monkeypatch.setattr(failures, "TOLD_MAX_S", 120)
    monkeypatch.setattr(failures, "PAUSE_S", 0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@contextmanager
def hook(*answers):
    """A web address that gives these answers in turn, and what it heard."""
    heard, left = [], list(answers)

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(left.pop(0))
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        serving = Thread(target=server.serve_forever, daemon=True)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}/secret-place", heard
        server.shutdown()
        serving.join()


def failing(tmp_path, until):
    """A command that fails until it was started so often, and the file that counts."""
    count, script = tmp_path / "count", tmp_path / "tell.py"
    script.write_text(
        f"open({str(count)!r}, 'a').write('x'); raise SystemExit(3 * (len(open({str(count)!r}).read()) < {until}))"
    )
    return f"{sys.executable} {script}", count


def test_the_web_address_is_told_although_the_command_failed_and_both_are_tried_three_times(tmp_path):
    """Found with nobody told: a command that failed kept the web address from being asked, and no tick came back."""
    command, count = failing(tmp_path, until=9)
    with hook(503, 500, 204) as (address, heard), pytest.raises(NotTold) as error:
        tell_of_failure(command, address, **TOLD)
    assert str(error.value).startswith("CREDSTORE_FAILURE_COMMAND: it ended with 3. The run's own outcome")
    assert [told["run_id"] for told in heard] == ["r"] * 3
    assert count.read_text() == "xxx"


def test_what_is_taken_at_a_later_try_is_no_failure(tmp_path):
    command, count = failing(tmp_path, until=2)
    with hook(503, 204) as (address, heard):
        tell_of_failure(command, address, **TOLD)
    assert (len(heard), count.read_text()) == (2, "xx")


def test_both_are_named_if_neither_took_it_and_the_address_is_not(tmp_path):
    command, _ = failing(tmp_path, until=9)
    with hook(503, 503, 404) as (address, heard), pytest.raises(NotTold) as error:
        tell_of_failure(command, address, **TOLD)
    assert len(heard) == 3
    assert "it ended with 3; CREDSTORE_FAILURE_WEBHOOK: it was not taken (404)" in str(error.value)
    assert "secret-place" not in str(error.value)


def test_a_command_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(failures, "TOLD_MAX_S", 0.5)
    with pytest.raises(NotTold, match="TimeoutExpired"):
        tell_of_failure(f"{sys.executable} -c 'import time; time.sleep(600)'", None, **TOLD)


def test_both_together_end_well_before_dagster_gives_the_tick_up():
    max_s, pause_s = SHIPPED
    assert 2 * (max_s + pause_s) <= 40
