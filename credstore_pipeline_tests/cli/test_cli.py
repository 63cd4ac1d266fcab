"""The console script, run in this process on a real store, target and Dagster home."""

import io
import json
import logging
import os
import re
from pathlib import Path

import dagster as dg
import pytest
from rich.console import Console
from typer.testing import CliRunner

from credstore_pipeline.cli.app import EPILOG, app
from credstore_pipeline.cli.codes import MEANINGS, Exit
from credstore_pipeline.cli.launching import Bars, UnknownJob, configured
from credstore_pipeline.core.progress import Progress, read_progress
from credstore_pipeline.definitions import defs
from credstore_pipeline_tests.lab import ALLOW_ALL, OURS
from credstore_pipeline_tests.report.outline import said

COMMANDS = [
    ("preflight",),
    ("migrate",),
    ("verify",),
    ("cutover",),
    ("rollback",),
    ("status",),
    ("keys",),
    ("quarantine", "list"),
    ("quarantine", "replay"),
    ("conflicts", "list"),
    ("conflicts", "resolve"),
]


def call(lab, *arguments, **settings):
    """The command with the lab's settings alone."""
    wanted = lab.environment(**settings)
    environment = {**{name: None for name in os.environ if name.startswith(OURS)}, **wanted}
    return CliRunner().invoke(app, arguments, env=environment)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_command_says_what_it_does_and_its_exit_codes_and_speaks_json(command):
    shown = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert shown.exit_code == 0
    assert "--json" in shown.stdout
    assert "Exit codes: 0 done" in shown.stdout


def test_every_exit_code_is_told():
    assert set(MEANINGS) == set(Exit)
    assert all(f"{code.value} " in EPILOG for code in Exit)


@pytest.mark.ci
def test_a_store_is_looked_at_migrated_and_verified_and_each_command_says_so(lab):
    at = lab("lost_env")
    nothing = call(at, "status", "--json")
    assert (nothing.exit_code, json.loads(nothing.stdout)["window"]) == (0, "Nothing was loaded yet.")

    # Each run has its page, and it says what the run was.
    looked = call(at, "preflight", "--json")
    told = json.loads(looked.stdout)
    assert (looked.exit_code, told["success"], told["outcome"]) == (Exit.RED, False, "refused")
    assert "Refused The run ended at preflight/census." in said(Path(told["report"]).read_text())

    refused = call(at, "migrate")
    assert refused.exit_code == Exit.RED
    assert "Add the missing key to CREDSTORE_SOURCE_KEYS" in refused.stdout
    page = said(Path(re.search(r"Report: (.+report\.html)", refused.stdout)[1]).read_text())
    assert "Refused The run ended at validated." in page
    assert "Nothing is lost: held" not in page

    migrated = call(at, "migrate", "--json", **ALLOW_ALL)
    told = json.loads(migrated.stdout)
    assert (migrated.exit_code, told["success"], told["outcome"]) == (Exit.DONE, True, "migrated and proven")
    page = said(Path(told["report"]).read_text())
    assert "Migrated and proven" in page
    for promise in ("Nothing is lost: held", "Nothing is leaked: held", "Green means done: held"):
        assert promise in page, promise
    # Three passwords open under no key, and may be left behind.
    assert "Nothing is guessed: noted" in page
    assert "not reached" not in page.partition("Census, before and after")[0].partition("Promises, and")[2]
    # The same history as the UI's.
    assert told["run_id"] in {path.name for path in (at.home / "reports").iterdir()}

    verified = call(at, "verify", **ALLOW_ALL)
    assert verified.exit_code == Exit.DONE, verified.output
    assert "Every proof holds." in verified.stdout
    assert "Verified Every proof holds" in said(Path(re.search(r"Report: (.+)", verified.stdout)[1]).read_text())

    stands = json.loads(call(at, "status", "--json").stdout)
    assert [run["kind"] for run in stands["runs"]] == ["initial"]
    assert stands["drift"] == 0
    assert stands["conflicts_waiting"] == 0
    assert stands["verified"].startswith("green at ")
    held = json.loads(call(at, "quarantine", "list", "--json").stdout)
    assert len(held) == sum(row["rows"] for row in stands["quarantined"]) > 0
    assert {"quarantine_id", "source_table", "source_id", "reason", "detail", "seen_at"} == set(held[0])
    assert json.loads(call(at, "conflicts", "list", "--json").stdout) == []
    keys = json.loads(call(at, "keys", "--json").stdout)
    assert keys["success"]
    assert {"store", "key", "rows"} <= set(keys["figures"]["needed"][0])
    assert (
        "Nothing" in call(at, "conflicts", "list").stdout
        or "No conflict waits." in call(at, "conflicts", "list").stdout
    )


def test_settings_that_are_missing_end_it_before_anything_is_started(lab):
    at = lab("setup_empty")
    ended = call(at, "migrate", CREDSTORE_TARGET_KEY="", CREDSTORE_POSTGRES_URL="")
    assert ended.exit_code == Exit.NOT_READY
    assert "CREDSTORE_TARGET_KEY: not set" in ended.stderr
    assert not (at.home / "reports").exists()


def test_a_target_that_does_not_answer_is_told_without_its_password(lab):
    at = lab("setup_empty")
    ended = call(at, "status", CREDSTORE_POSTGRES_URL="postgresql://netraven:hidden@127.0.0.1:1/netraven")
    assert ended.exit_code == Exit.NOT_READY
    assert "hidden" not in ended.output


def test_a_guard_is_confirmed_by_its_number_or_not_at_all():
    ended = CliRunner().invoke(app, ["migrate", "--confirm", "deleted_credentials"])
    assert ended.exit_code == Exit.USAGE


def test_each_command_gives_its_job_what_the_job_takes():
    for name, config in {
        "migrate": {"confirm": {"deleted_credentials": 3}},
        "cutover": {"confirm": "/store.db", "block_writers": True, "archive": False},
        "rollback_export": {"to": "", "flavour": "orm", "allow_loss": [], "swap": False, "confirm_plaintext": False},
        "resolve_conflicts": {"decisions": {"1": "source"}},
    }.items():
        job = defs.resolve_job_def(name)
        found = dg.validate_run_config(job, {"ops": configured(job, config)})
        assert config in [op["config"] for op in found["ops"].values() if "config" in op]


def test_a_decision_that_is_none_is_refused_before_a_run():
    ended = CliRunner().invoke(app, ["conflicts", "resolve", "12=both"], env={"COLUMNS": "200"})
    assert ended.exit_code == Exit.USAGE
    assert "ID=source or ID=target" in ended.stderr.replace("\n", " ").replace("│", "")


def test_a_job_without_run_config_takes_none():
    with pytest.raises(UnknownJob):
        configured(defs.resolve_job_def("preflight"), {"anything": 1})


def test_a_line_of_progress_can_be_read_back():
    now, lines = [0.0], []
    progress = Progress("Opening", 12_000, lines.append, clock=lambda: now[0])
    progress(0)
    now[0] = 6.0
    progress(3_000)
    assert read_progress(lines[0]) == ("Opening", 3_000, 12_000)
    assert read_progress("Snapshot taken: 3 of them") is None


def test_what_takes_long_has_one_bar_however_often_it_says_how_far_it_is():
    now, lines, terminal = [0.0], [], io.StringIO()
    progress = Progress("Opening", 12_000, lines.append, clock=lambda: now[0])
    for done in (0, 1_000, 2_000, 3_000):
        progress(done)
        now[0] += 60.0
    console = Console(file=terminal, force_terminal=True, width=100, height=30)
    with Bars(defs.resolve_job_def("migrate"), console) as bars:
        for line in lines:
            bars.see(dg.EventLogEntry(None, logging.INFO, line, "a run", 0.0))
    *_, last_drawn = (part for part in terminal.getvalue().split("migrate") if "Opening" in part)
    assert last_drawn.count("Opening") == 1
    assert "3000/12000" in last_drawn


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands(shell):
    asked = {
        "_CREDSTORE_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": "credstore qua",
        "COMP_WORDS": "credstore qua",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    shown = CliRunner().invoke(app, [], prog_name="credstore", env=asked)
    assert "quarantine" in shown.stdout
