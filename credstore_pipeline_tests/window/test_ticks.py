"""Ticks of schedule and sensors: what they launch, and why they do not."""

import logging
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from credstore_pipeline import sensors
from credstore_pipeline.core.errors import Refused
from credstore_pipeline.freshness import freshness
from credstore_pipeline.schedules import reason_to_skip, resync_schedule
from credstore_pipeline.sensors import Seen, source_changed_sensor
from credstore_pipeline_tests.pipeline.flow import flow, source
from credstore_pipeline_tests.window.conftest import end, environment
from credstore_pipeline_tests.window.test_rollback import back

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    """A slow machine's digest may take its time, and rows are counted all the same."""
    monkeypatch.setattr(sensors, "COUNTED_BELOW_S", 600.0)


def tick(at, instance=None, **settings):
    """What the schedule does: `launched`, or its reason not to."""
    with environment(at, **settings) as own:
        return reason_to_skip(instance or own) or "launched"


def look(at, seen=None, instance=None, **settings):
    """What the sensor does: the job launched or its reason not to, its cursor, and what it observed."""
    with environment(at, **{"CREDSTORE_SENSOR_MIN_S": "0", **settings}) as own:
        context = dg.build_sensor_context(instance=instance or own, cursor=seen)
        found = source_changed_sensor(context)
    launched = [request.job_name for request in found.run_requests or []]
    told = launched[0] if launched else found.skip_reason.skip_message
    observed = {name: entry.value for event in found.asset_events or [] for name, entry in event.metadata.items()}
    return told, found.cursor, observed


def moment(offset):
    return (datetime.now(UTC) + offset).isoformat()


def test_the_schedule_launches_while_the_window_is_open(loaded):
    at = loaded()
    assert tick(at) == "launched"
    assert tick(at, CREDSTORE_WINDOW_START=moment(-HOUR), CREDSTORE_WINDOW_END=moment(HOUR)) == "launched"


def test_a_tick_of_the_real_schedule_asks_for_a_run(loaded):
    at = loaded()
    with environment(at), dg.instance_for_test() as instance:
        data = resync_schedule.evaluate_tick(
            dg.build_schedule_context(instance=instance, scheduled_execution_time=datetime.now(UTC))
        )
    assert [request.tags["credstore/launched_by"] for request in data.run_requests] == ["resync_schedule"]
    assert (resync_schedule.cron_schedule, resync_schedule.execution_timezone) == ("*/15 * * * *", "UTC")
    assert resync_schedule.default_status is dg.DefaultScheduleStatus.STOPPED


def test_the_schedule_says_why_it_skips(loaded):
    at = loaded()
    assert "is not open yet: it opens at" in tick(at, CREDSTORE_WINDOW_START=moment(HOUR))
    assert "The window is over since" in tick(at, CREDSTORE_WINDOW_END=moment(-HOUR))
    end(at)
    assert "The store was cut over at" in tick(at)


def test_the_schedule_makes_no_initial_load(lab):
    assert "Nothing was loaded yet" in tick(lab("web"))


def test_the_schedule_waits_for_a_run_that_is_still_going(loaded):
    at = loaded()
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_run(dg.DagsterRun(job_name="resync", status=dg.DagsterRunStatus.STARTED))
        assert "is still going" in tick(at, instance)
        assert "is still going" in look(at, instance=instance)[0]


@pytest.mark.parametrize(
    ("status", "quiet_for_s", "told"),
    [
        (dg.DagsterRunStatus.STARTED, 60, "is still going"),
        (dg.DagsterRunStatus.STARTED, 3600, "launched"),
        (dg.DagsterRunStatus.NOT_STARTED, 3600, "is still going"),
    ],
    ids=["at work", "its process is gone", "waits for its turn"],
)
def test_a_run_whose_process_is_gone_keeps_no_re_sync_waiting(loaded, status, quiet_for_s, told):
    at = loaded()
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.add_run(dg.DagsterRun(job_name="resync", status=status))
        said_at = time.time() - quiet_for_s
        instance.handle_new_event(dg.EventLogEntry(None, logging.INFO, "Opening: 1 of 2 rows", run.run_id, said_at))
        assert told in tick(at, instance)


def test_a_store_that_cannot_be_reached_is_an_error_and_no_skip(loaded):
    at = loaded()
    with pytest.raises(dg.Failure, match="there is no such file"):
        at.store.path.rename(at.store.path.with_name("moved"))
        tick(at)
    with pytest.raises(dg.Failure, match="there is no such file"):
        look(at)


def test_wrong_settings_are_an_error_of_the_tick_by_name(loaded):
    with pytest.raises(dg.Failure, match="CREDSTORE_WINDOW_END: it has no offset"):
        tick(loaded(), CREDSTORE_WINDOW_END="2026-01-01T00:00:00")


def test_the_sensor_launches_once_for_a_change_and_says_how_far_behind_the_target_is(loaded):
    at = loaded()
    seen = look(at)[1]
    assert look(at, seen)[0] == "The store has not changed."
    with source(at) as connection:
        connection.execute("UPDATE credentials SET username = 'another' WHERE rowid IN (1, 2)")
        connection.execute("DELETE FROM credential_tags WHERE rowid = 1")
    told, seen, observed = look(at, seen)
    assert told == "resync"
    assert observed["rows_behind"] == 3
    assert {"oldest_unsynced_change_s", "conflicts_waiting", "quarantined"} <= observed.keys()
    assert look(at, seen)[0] == "The store has not changed."
    flow(at).load()
    told, _, observed = look(at, seen)
    assert observed["rows_behind"] == 0


def test_where_reading_takes_long_a_tick_that_launches_counts_no_rows_and_the_one_after_the_load_does(
    loaded, monkeypatch
):
    """Found counting in each: with a large store the tick outlived Dagster's 60 s, and no run was ever launched."""
    monkeypatch.setattr(sensors, "COUNTED_BELOW_S", 0.0)
    at = loaded()
    seen = look(at)[1]
    with source(at) as connection:
        connection.execute("UPDATE credentials SET username = 'another' WHERE rowid IN (1, 2)")
    told, seen, observed = look(at, seen)
    assert told == "resync"
    assert observed.keys() == {"oldest_unsynced_change_s", "conflicts_waiting", "quarantined"}
    flow(at).load()
    told, seen, observed = look(at, seen)
    assert observed["rows_behind"] == 0
    assert look(at, seen)[0] == "The store has not changed."
    with source(at) as connection:
        connection.execute("UPDATE credentials SET success_count = success_count + 1 WHERE rowid = 1")
    assert look(at, seen)[2]["rows_behind"] == 1


def test_statistics_alone_wait_for_the_schedule(loaded):
    at = loaded()
    seen = look(at)[1]
    with source(at) as connection:
        connection.execute(
            "UPDATE credentials SET success_count = success_count + 1, last_used = '2026-01-01 00:00:00'"
        )
    told, seen, observed = look(at, seen)
    assert told == "Statistics alone changed; they wait for the schedule."
    assert observed["rows_behind"] > 0


def test_the_sensor_launches_no_second_run_too_soon_and_forgets_no_change(loaded):
    at = loaded()
    seen = look(at)[1]
    with source(at) as connection:
        connection.execute("UPDATE tags SET name = name || ' changed' WHERE rowid = 1")
    told, later, _ = look(at, seen, CREDSTORE_SENSOR_MIN_S="3600")
    assert "CREDSTORE_SENSOR_MIN_S" in told
    assert look(at, later)[0] == "resync"


def test_the_cursor_holds_no_digest_that_confirms_a_guess(loaded):
    """Another target key, another digest of the same rows."""
    at = loaded()
    first = Seen.read(look(at)[1]).digest
    at.sql("DROP SCHEMA credstore_sync CASCADE")
    at.sql("DROP TABLE credential_tags, credentials, tags")
    flow(at, target_key="another").load()
    assert Seen.read(look(at, CREDSTORE_TARGET_KEY="another")[1]).digest != first
    before = time.time()
    assert before <= Seen.read(look(at, CREDSTORE_TARGET_KEY="another")[1]).asked_at <= time.time()


@pytest.mark.parametrize("archive", [pytest.param(False, marks=pytest.mark.ci), True])
def test_a_late_writer_is_noticed_and_named_by_the_check(loaded, archive):
    at = loaded()
    end(at, block_writers=False, archive=archive)
    told, seen, _ = look(at)
    assert "its rows are as they were" in told
    assert "has not changed since it was looked at" in look(at, seen)[0]
    assert at.run("watch").checks == {"no_write_after_cutover": True}
    (place,) = at.store.path.parent.glob("store.db*")
    with sqlite3.connect(place) as connection:
        connection.execute("INSERT INTO tags (id, name) VALUES ('a late one', 'late')")
    told, seen, _ = look(at, seen)
    assert told == "watch"
    run = at.run("watch")
    assert run.checks == {"no_write_after_cutover": False}
    assert any("1 tags added (id a late one)" in line for line in run.log)
    assert "has not changed since it was looked at" in look(at, seen)[0]


def test_a_file_made_anew_at_the_path_of_an_archived_store_is_a_late_write(loaded):
    """Found with an old container that started again: it wrote to a new file, and `watch` said that no row differs."""
    at = loaded()
    archived = end(at, archive=True).archived_as
    seen = look(at)[1]
    with closing(sqlite3.connect(archived)) as old, closing(sqlite3.connect(at.store.path)) as new:
        for (statement,) in old.execute("SELECT sql FROM sqlite_master WHERE sql LIKE 'CREATE TABLE%'"):
            new.execute(statement)
        new.execute("INSERT INTO tags (id, name) VALUES ('a late one', 'late')")
        new.commit()
    told, seen, _ = look(at, seen)
    assert told == "watch"
    run = at.run("watch")
    assert run.checks == {"no_write_after_cutover": False}
    assert any(f"A file was made at {at.store.path}" in line for line in run.log)
    assert "has not changed since it was looked at" in look(at, seen)[0]
    with sqlite3.connect(at.store.path) as connection:
        connection.execute("UPDATE tags SET name = 'later'")
    assert look(at, seen)[0] == "watch"
    with pytest.raises(Refused, match=r"late_writes: .*made at the store's path.*store\.db"):
        back(at, swap=True)
    done = back(at, swap=True, allow_loss=("late_writes",))
    with closing(sqlite3.connect(done.aside)) as aside:
        assert aside.execute("SELECT name FROM tags").fetchall() == [("later",)]
    assert archived.is_file()


def test_the_targets_tables_turn_stale_after_four_missed_re_syncs_while_those_are_enabled(monkeypatch):
    monkeypatch.delenv("CREDSTORE_RESYNC_ENABLED", raising=False)
    assert freshness() is None
    monkeypatch.setenv("CREDSTORE_RESYNC_ENABLED", "true")
    monkeypatch.setenv("CREDSTORE_RESYNC_CRON", "*/10 * * * *")
    assert freshness().fail_window.to_timedelta() == timedelta(minutes=40)
    monkeypatch.setenv("CREDSTORE_RESYNC_CRON", "no cron at all")
    assert freshness() is None
