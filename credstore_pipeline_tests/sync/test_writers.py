"""Two processes go on writing, one to each store, while passes run; both journals then say what must be there."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import dagster as dg
import pytest

from credstore_pipeline_tests.lab import ROOT
from credstore_pipeline_tests.pipeline.flow import TARGET_KEY, content, flow, opened, source
from credstore_pipeline_tests.pipeline.launcher import start
from credstore_pipeline_tests.sync.live import FINAL, await_true, live

COMPARED = (
    "name", "username", "password", "description", "key_file", "success_count", "failure_count", "last_used",
    "updated_at",
)  # fmt: skip
MAY_LOSE = (
    "another load has been running: ",
    "superseded: run ",
    "Launch the job again",
)
"""What a pass says that another one was faster than."""
LONG_S = 3600.0
"""More than a test takes; it stops its writers."""


def writer(at, side, seconds, journal, pause_s=0.02):
    place = str(at.store.path) if side == "source" else at.database.url.render_as_string(hide_password=False)
    key = at.store.env["encryption_key"] if side == "source" else TARGET_KEY
    command = [
        sys.executable,
        "-m",
        "credstore_pipeline_tests.sync.writer",
        side,
        place,
        str(journal),
        str(seconds),
        key,
        str(pause_s),
    ]
    return subprocess.Popen(command, cwd=ROOT)


def told(journal):
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    return [line for line in lines if line[0] != "refused"]


def stop(journal, process):
    Path(f"{journal}.stop").touch()
    assert process.wait(300) == 0


def expected(at, before, *journals):
    """Each side edits columns of its own and deletes rows of its own; counters grow on both.

    Journals are pairs of a side and what it wrote, the source's first.
    """
    rows = {key: dict(row) for key, row in before.items()}
    for side, lines in journals:
        key = at.store.env["encryption_key"] if side == "source" else TARGET_KEY
        for action, row_id, values in lines:
            plain = {**values, "password": opened(values["password"], key)} if "password" in values else values
            place = f"credentials {row_id}"
            if action == "add":
                rows[place] = dict(plain)
            elif action == "delete":
                del rows[place]
            elif place in rows:
                row = rows[place]
                row["success_count"] += action == "log in"
                later = {
                    name: max(row.get(name) or "", value.replace(" ", "T"), key=moment)
                    for name, value in plain.items()
                    if name in ("last_used", "updated_at")
                }
                row |= {**plain, **later}
    return rows


def moment(text):
    return datetime.fromisoformat(text) if text else datetime.min


def comparable(rows):
    """Rows as `table id` -> the columns that are compared; times whatever their form."""
    return {
        key: {
            name: moment(row.get(name)) if name in ("last_used", "updated_at") else row.get(name) for name in COMPARED
        }
        if key.startswith("credentials ")
        else {name: row[name] for name in ("name", "credential_id", "tag_id", "priority") if name in row}
        for key, row in rows.items()
    }


def asked_seconds():
    return float(os.environ.get("CREDSTORE_WRITERS_S", "60"))


@pytest.mark.ci
def test_while_two_processes_write_nothing_is_lost_and_both_stores_end_alike(at):
    """Passes as fast as they can be made, in a third of a minute by default."""
    seconds = asked_seconds() / 3
    before = content(at)
    journals = {side: at.folder / f"{side}.journal" for side in ("source", "target")}
    began = time.monotonic()
    processes = [writer(at, side, LONG_S, journal) for side, journal in journals.items()]
    passes = 0
    while time.monotonic() - began < seconds or passes < 3:
        assert [process.poll() for process in processes] == [None, None]
        flow(at, max_delete_fraction=1.0).load()
        passes += 1
    for journal, process in zip(journals.values(), processes, strict=True):
        stop(journal, process)
    run = flow(at, max_delete_fraction=1.0)
    run.load()
    assert not run.red()
    assert at.sql("SELECT count(*) FROM credstore_sync.conflicts") == [(0,)]
    wanted = expected(at, before, *((side, told(journal)) for side, journal in journals.items()))
    assert comparable(content(at)) == comparable(wanted)
    with source(at) as store:
        assert store.execute("SELECT count(*) FROM credentials").fetchone()[0] > 0


@pytest.mark.ci
def test_a_window_under_two_writers_ends_in_a_cutover_and_a_rollback_keeps_what_was_written_after_it(at):
    """A minute by default, ten by `make soak`; passes from UI, schedule, sensor and command line."""
    seconds = asked_seconds()
    before = content(at)
    journals = {name: at.folder / f"{name}.journal" for name in ("source", "target", "target-since")}
    # A sensor that launched at each of its ticks could always be at it when the schedule's minute comes.
    with live(at, CREDSTORE_MAX_DELETE_FRACTION="1", CREDSTORE_LOCK_WAIT_S="5", CREDSTORE_SENSOR_MIN_S="80") as window:
        old, new = (writer(at, side, LONG_S, journals[side], 0.2) for side in ("source", "target"))
        began, typed, won = time.monotonic(), [], 0
        while time.monotonic() - began < seconds or won < 4 or 0 not in [command.code for command in typed]:
            assert time.monotonic() - began < seconds + 1800
            assert (old.poll(), new.poll()) == (None, None)
            clicked = window.launch("resync")
            typed.append(start(at))
            won += typed[-1].wait() == 0
            won += window.ended(clicked).status is dg.DagsterRunStatus.SUCCESS
        for launcher in ("resync_schedule", "source_changed_sensor"):
            await_true(lambda launcher=launcher: window.by(launcher), said=window.history)
        _cut_over(window)
        # The old writer was at it until then, and is told so; the new one writes on.
        assert old.wait(300) == 0
        assert '"refused"' in journals["source"].read_text().splitlines()[-1]
        stop(journals["target"], new)
        both = [("source", told(journals["source"])), ("target", told(journals["target"]))]
        assert comparable(content(at)) == comparable(expected(at, before, *both))
        assert at.sql("SELECT count(*) FROM credstore_sync.conflicts") == [(0,)]

        since = writer(at, "target", 5, journals["target-since"])
        assert since.wait(300) == 0
        config = at.folder / "rollback.yaml"
        config.write_text("ops: {export: {config: {swap: true}}}")
        window.idle()
        back = start(
            at, "job", "execute", "-m", "credstore_pipeline.definitions", "-j", "rollback_export", "-c", str(config)
        )
        assert back.wait() == 0, back.text[-3000:]
        window.idle()
    later = told(journals["target-since"])
    assert later
    wanted = comparable(expected(at, before, *both, ("target", later)))
    assert comparable(content(at)) == wanted
    assert comparable(in_file(at)) == wanted

    # Schedule and sensor went on to the last: a run that they made then has not begun.
    ended = [run for run in window.runs() if run.status in FINAL]
    passes = [run for run in ended if run.job_name in ("resync", "migrate", "__ASSET_JOB")]
    lost = [run for run in passes if run.status is not dg.DagsterRunStatus.SUCCESS]
    for run in lost:
        told_why = window.failure(run.run_id)
        assert any(said in told_why for said in (*MAY_LOSE, "it was cut over at")), told_why
    print(
        f"{seconds:.0f} s: {len(both[0][1])} writes in SQLite, {len(both[1][1])} in PostgreSQL and {len(later)} after "
        f"cutover; {len(passes)} passes, of which {len(lost)} lost to another; launched by the schedule "
        f"{len(window.by('resync_schedule'))}, by the sensor {len(window.by('source_changed_sensor'))}, "
        f"by the command line {len(typed)}."
    )


def _cut_over(window):
    """Launch it from the UI until no pass comes in between; schedule and sensor go on."""
    config = {"ops": {"cut_over": {"config": {"confirm": str(window.at.store.path)}}}}
    until = time.monotonic() + 1800
    while time.monotonic() < until:
        window.idle()
        run = window.ended(window.launch("cutover", config))
        if run.status is dg.DagsterRunStatus.SUCCESS:
            return
        said = window.failure(run.run_id)
        assert any(why in said for why in (*MAY_LOSE, "another run loaded meanwhile", "launch the job `verify`")), said
        assert "Nothing is frozen" in said
        window.ended(window.launch("verify"))
    raise AssertionError(said)


def in_file(at):
    """What the SQLite file says, in the form of `content`."""
    found = {}
    with source(at) as store:
        store.row_factory = sqlite3.Row
        for table in ("tags", "credentials", "credential_tags"):
            for row in map(dict, store.execute(f"SELECT * FROM {table}")):
                if table == "credentials":
                    row["password"] = opened(row["password"], at.store.env["encryption_key"])
                found[f"{table} {row['id']}"] = row
    return found
