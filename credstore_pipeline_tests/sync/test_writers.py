"""Two processes go on writing, one to each store, while passes run; both journals then say what must be there."""

import json
import os
import subprocess
import sys
import time

import pytest

from credstore_pipeline_tests.lab import ROOT
from credstore_pipeline_tests.pipeline.flow import TARGET_KEY, content, flow, opened, source


def writer(at, side, seconds, journal):
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
    ]
    return subprocess.Popen(command, cwd=ROOT)


def told(journal):
    return [json.loads(line) for line in journal.read_text().splitlines()]


def expected(at, before, journals):
    """Each side edits columns of its own and deletes rows of its own; counters grow on both."""
    rows = {key: dict(row) for key, row in before.items() if key.startswith("credentials ")}
    for side in ("source", "target"):
        key = at.store.env["encryption_key"] if side == "source" else TARGET_KEY
        for action, row_id, values in journals[side]:
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
                    name: max(row.get(name) or "", value.replace(" ", "T"))
                    for name, value in plain.items()
                    if name in ("last_used", "updated_at")
                }
                row |= {**plain, **later}
    return rows


@pytest.mark.ci
def test_while_two_processes_write_nothing_is_lost_and_both_stores_end_alike(at):
    """A minute by default, as long as CREDSTORE_WRITERS_S says."""
    seconds = float(os.environ.get("CREDSTORE_WRITERS_S", "60"))
    before = content(at)
    journals = {side: at.folder / f"{side}.journal" for side in ("source", "target")}
    began = time.monotonic()
    processes = [writer(at, side, seconds, journal) for side, journal in journals.items()]
    passes = 0
    while any(process.poll() is None for process in processes):
        run = flow(at, max_delete_fraction=1.0)
        run.load()
        passes += 1
        if time.monotonic() - began > seconds + 120:
            break
    assert [process.wait() for process in processes] == [0, 0]
    run = flow(at, max_delete_fraction=1.0)
    run.load()
    assert not run.red()
    assert at.sql("SELECT count(*) FROM credstore_sync.conflicts") == [(0,)]
    wanted = expected(at, before, {side: told(journal) for side, journal in journals.items()})
    found = {key: row for key, row in content(at).items() if key.startswith("credentials ")}
    assert found.keys() == wanted.keys()
    for key, row in wanted.items():
        for name in ("username", "password", "description", "key_file", "success_count", "failure_count"):
            assert found[key].get(name) == row.get(name), (key, name)
    assert passes > 2
    with source(at) as store:
        assert store.execute("SELECT count(*) FROM credentials").fetchone()[0] > 0
