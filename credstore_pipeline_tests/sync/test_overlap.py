"""UI, command line, schedule and sensor launch at once, as real processes: one load gets in, the others name it."""

from contextlib import contextmanager

import dagster as dg
import pytest

from credstore_pipeline_tests.pipeline.flow import content, flow, in_source, source
from credstore_pipeline_tests.pipeline.launcher import start
from credstore_pipeline_tests.sync.live import await_true, live

HOLD = """
CREATE TABLE hold AS SELECT 1 AS one;
CREATE FUNCTION held() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WHILE EXISTS (SELECT FROM public.hold) LOOP
        PERFORM pg_sleep(0.1);
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER held AFTER UPDATE ON public.credential_tags FOR EACH STATEMENT EXECUTE FUNCTION held();
"""
"""A load that writes associations stands still inside its transaction until the table `hold` is empty."""


@contextmanager
def held_loads(at):
    at.sql(HOLD)
    try:
        yield
    finally:
        at.sql("DELETE FROM hold")


def holder(at):
    """The run that has the lock in this database; other tests' runs have theirs on the same server."""
    found = at.sql(
        "SELECT substr(a.application_name, 11) FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
        "WHERE l.locktype = 'advisory' AND l.granted AND a.application_name LIKE 'credstore %%' "
        "AND a.datname = current_database()"
    )
    return found[0][0] if found else None


def loaded_by(at):
    return {row[0] for row in at.sql("SELECT run_id FROM credstore_sync.runs")}


@pytest.mark.ci
def test_of_runs_from_ui_command_line_schedule_and_sensor_one_gets_in_and_the_others_name_it(at):
    first_load = loaded_by(at)
    with source(at) as store:
        store.execute("UPDATE credentials SET username = 'changed in the window' WHERE rowid = 1")
        store.execute("UPDATE credential_tags SET priority = priority + 1")
    with live(at) as window:
        with held_loads(at):
            # Whichever of schedule and sensor is first; the other one skips, or its run loses.
            await_true(lambda: holder(at), said=window.history)
            running = holder(at)
            commands = [start(at), start(at)]
            clicked = [window.launch("resync"), window.launch("migrate")]
            for command in commands:
                assert command.wait() == 1
                assert f"another load has been running: run {running}" in command.text
                assert "The target is unchanged." in command.text
            for run_id in clicked:
                assert window.ended(run_id).status is dg.DagsterRunStatus.FAILURE
                assert f"another load has been running: run {running}" in window.failure(run_id)
            for name in ("resync_schedule", "source_changed_sensor"):
                await_true(
                    lambda name=name: any("is still going" in said for said in window.skips(name)), said=window.history
                )
            assert holder(at) == running
            assert loaded_by(at) == first_load
        assert window.ended(running).status is dg.DagsterRunStatus.SUCCESS
        assert window.by("resync_schedule") + window.by("source_changed_sensor")

        # All at once, and nothing holds any of them: whoever comes in between is done or names who was there.
        for number in range(3):
            with source(at) as store:
                store.execute("UPDATE credentials SET username = ? WHERE rowid = 2", (f"changed again {number}",))
            commands = [start(at, CREDSTORE_LOCK_WAIT_S="0") for _ in range(3)]
            clicked = [window.launch("resync") for _ in range(2)]
            for command in commands:
                if command.wait():
                    assert named(command.text), command.text[-3000:]
            for run_id in clicked:
                window.ended(run_id)
        window.idle()
    # Exit codes, the UI's history and the target's agree on who loaded.
    succeeded = {run.run_id for run in window.runs() if run.status is dg.DagsterRunStatus.SUCCESS}
    failed = [run.run_id for run in window.runs() if run.status is dg.DagsterRunStatus.FAILURE]
    assert loaded_by(at) - first_load >= succeeded
    for run_id in failed:
        assert named(window.failure(run_id)), window.failure(run_id)
    flow(at).load()
    assert content(at) == in_source(at)
    assert not flow(at).red()
    before = at.state()
    flow(at).load()
    assert at.state() == before
    assert at.sql("SELECT count(*) FROM credstore_sync.conflicts") == [(0,)]
    assert not list(at.snapshots.glob("*.partial"))


def named(text):
    """Who lost says to whom, or what it found done."""
    return any(said in text for said in ("another load has been running: ", "superseded: run ", "Launch the job again"))
