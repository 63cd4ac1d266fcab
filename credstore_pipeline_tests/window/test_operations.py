"""The op jobs as the UI and the command line launch them: run config, metadata, refusals, and what they leave."""

import json
import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import dagster as dg
import pytest

from credstore_pipeline.core.lease import lease_on
from credstore_pipeline.core.source.retention import snapshot_names
from credstore_pipeline.core.undo import undo_initial_load
from credstore_pipeline.definitions import defs
from credstore_pipeline.failures import NotTold, tell_of_failure
from credstore_pipeline.sensors import failed_run_sensor
from credstore_pipeline_tests.pipeline.flow import TARGET_KEY, content, flow, sealed, source
from credstore_pipeline_tests.pipeline.proxy import lossy
from credstore_pipeline_tests.window.conftest import end, environment


def launch(at, job, op, instance=None, config=None, **settings):
    """Run a job and give its success, the op's metadata and its failure."""
    run_config = {"ops": {op: {"config": config}}} if config is not None else {}
    with environment(at, **settings) as own:
        used = instance or own
        result = defs.resolve_job_def(job).execute_in_process(
            instance=used, raise_on_error=False, run_config=run_config
        )
        failed = [event.step_failure_data for event in result.all_events if event.is_step_failure]
        told = "\n".join(
            str(data.user_failure_data.description if data.user_failure_data else data.error) for data in failed
        )
        shown = {}
        for event in result.all_events:
            if event.event_type is dg.DagsterEventType.STEP_OUTPUT:
                shown |= {name: entry.value for name, entry in event.step_output_data.metadata.items()}
        logged = [record.user_message for record in used.all_logs(result.run_id)]
    return result.success, shown, told, logged


@pytest.mark.ci
def test_cut_over_roll_back_and_cut_over_again(loaded):
    at = loaded()
    success, shown, told, _ = launch(at, "cutover", "cut_over", config={"confirm": str(at.store.path)})
    assert success, told
    assert shown["writers_blocked_in"] == "credential_tags, credentials, tags"
    assert shown["frozen_s"] > 0
    run = at.run("migrate")
    assert not run.success
    assert "PostgreSQL alone counts since then" in run.failure
    success, shown, told, _ = launch(at, "rollback_export", "export", config={"swap": True})
    assert success, told
    told = launch(at, "cutover", "cut_over", config={"confirm": str(at.store.path)})[2]
    assert "changed something since: launch the job `verify`" in told
    assert at.run("verify").success
    assert launch(at, "cutover", "cut_over", config={"confirm": str(at.store.path)})[0]


def test_a_cutover_without_confirmation_tells_what_to_write(loaded):
    at = loaded()
    success, _, told, _ = launch(at, "cutover", "cut_over", config={"confirm": "no"})
    assert not success
    assert f"Write confirm: {at.store.path}" in told
    assert "Nothing is frozen" in told


def test_rotate_target_key_says_that_readers_must_restart(loaded):
    at = loaded()
    keys = {"CREDSTORE_TARGET_KEY": "new", "CREDSTORE_SOURCE_KEYS": json.dumps([TARGET_KEY])}
    success, shown, told, logged = launch(at, "rotate_target_key", "rotate", **keys)
    assert success, told
    assert shown["resealed"] > 0
    assert any("Readers must restart with the new key" in line for line in logged)
    success, shown, told, _ = launch(at, "key_retirement", "account", **keys)
    assert success, told
    assert "source_keys[0]" in shown["can_be_retired"]


def test_undo_removes_what_nobody_changed_and_names_the_rest(loaded):
    at = loaded()
    ids = sorted(row[0] for row in at.sql("SELECT id FROM credentials"))
    at.sql("UPDATE credentials SET description = 'changed since' WHERE id = %s", ids[0])
    at.sql("INSERT INTO tags (id, name) VALUES ('own', 'own')")
    at.sql("INSERT INTO credential_tags (id, credential_id, tag_id) VALUES ('own', %s, 'own')", ids[1])
    place = flow(at).deployment.target.place
    success, shown, told, logged = launch(at, "undo_initial_load", "undo", config={"confirm": place})
    assert success, told
    assert {row[0] for row in at.sql("SELECT id FROM credentials")} == set(ids[:2])
    assert at.sql("SELECT id FROM credential_tags") == [("own",)]
    assert at.sql("SELECT id FROM tags") == [("own",)]
    assert shown["credentials_removed"] == len(ids) - 2
    assert any(f"1 rows stay, changed since (id {ids[0]})" in line for line in logged)
    assert any(f"1 rows stay, other rows refer to it (id {ids[1]})" in line for line in logged)
    flow(at).load()
    assert {row[0] for row in at.sql("SELECT id FROM credentials")} == set(ids)


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_undo_whose_commit_went_unheard_is_made_once_and_told_as_it_was(loaded, when):
    at = loaded()
    count = at.sql("SELECT count(*) FROM credentials")[0][0]
    with lossy(at.database, when, marks=b"SET kind = 'undone'") as proxy:
        run = flow(at, target=proxy.target)
        place = run.deployment.target.place
        done = undo_initial_load(run.deployment, run.ring, run.run_id, place, run.log.append)
        assert proxy.reached.is_set()
    assert done.removed["credentials"] == count
    assert at.sql("SELECT count(*) FROM credentials, credstore_sync.runs WHERE kind = 'undo'") == [(0,)]
    assert at.sql("SELECT count(*) FROM credstore_sync.runs WHERE kind = 'undo'") == [(1,)]


def test_undo_of_another_target_or_after_cutover_is_refused(ended):
    at = ended()
    before = at.state()
    assert "Write confirm:" in launch(at, "undo_initial_load", "undo", config={"confirm": "x"})[2]
    place = flow(at).deployment.target.place
    assert "PostgreSQL alone counts" in launch(at, "undo_initial_load", "undo", config={"confirm": place})[2]
    assert at.state() == before


def test_restore_copies_a_proven_snapshot_and_overwrites_nothing(loaded):
    at = loaded()
    to = at.folder / "restored.db"
    success, _, told, _ = launch(at, "restore", "copy_out", config={"to": str(to)})
    assert success, told
    with sqlite3.connect(to) as new, source(at) as old:
        sql = "SELECT * FROM credentials ORDER BY rowid"
        assert new.execute(sql).fetchall() == old.execute(sql).fetchall()
    assert to.stat().st_mode & 0o777 == 0o600
    assert "is taken" in launch(at, "restore", "copy_out", config={"to": str(to)})[2]
    assert "there is no snapshot x" in launch(at, "restore", "copy_out", config={"to": f"{to}2", "snapshot": "x"})[2]


def test_purge_leaves_the_snapshot_that_a_run_works_on(ended):
    at = ended()
    folder = flow(at).deployment.places.backup_dir
    name = snapshot_names(folder)[-1]
    lease = lease_on(folder / name)
    assert launch(at, "purge", "remove", config={"keep_last_snapshot": False})[0]
    assert snapshot_names(folder) == [name]
    lease.release()
    assert launch(at, "purge", "remove", config={"keep_last_snapshot": False})[0]
    assert snapshot_names(folder) == []


def test_purge_waits_for_the_end_and_keeps_the_last_snapshot(loaded):
    at = loaded()
    assert "the window is not over" in launch(at, "purge", "remove", config={})[2]
    with source(at) as connection:
        connection.execute("UPDATE tags SET name = name || '!'")
    end(at)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_run(dg.DagsterRun(job_name="resync", status=dg.DagsterRunStatus.SUCCESS))
        instance.add_run(dg.DagsterRun(job_name="of_another_project", status=dg.DagsterRunStatus.SUCCESS))
        success, shown, told, _ = launch(at, "purge", "remove", instance, config={"runs_older_than_days": 0})
        assert success, told
        assert {run.job_name for run in instance.get_runs()} == {"of_another_project", "purge"}
    assert shown["snapshots_removed"] == 1
    last = at.sql("SELECT snapshot_name FROM credstore_sync.cutover")[0][0]
    assert [place.name for place in at.snapshots.iterdir()] == [last]


@pytest.fixture
def unhurried(monkeypatch):
    """A command may take its time to start, and no proxy is asked for this machine."""
    monkeypatch.setattr("credstore_pipeline.failures.TOLD_MAX_S", 120)
    monkeypatch.setattr("credstore_pipeline.failures.PAUSE_S", 0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.mark.usefixtures("unhurried")
def test_a_failed_run_is_told_with_ids_alone(tmp_path):
    heard = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    Thread(target=server.serve_forever, daemon=True).start()
    place = tmp_path / "told"
    script = tmp_path / "tell.py"
    script.write_text(f"import os, sys; open({str(place)!r}, 'w').write(sys.stdin.read() + str(sorted(os.environ)))")
    command = f"{sys.executable} {script}"
    tell_of_failure(command, f"http://127.0.0.1:{server.server_port}/x", run_id="r", job="resync", steps=["postgres"])
    server.shutdown()
    assert heard[0] == json.loads(place.read_text().partition("}")[0] + "}")
    assert set(heard[0]) == {"event", "run_id", "job", "failed_steps", "failed_step_count", "at"}
    assert "CREDSTORE" not in place.read_text()
    with pytest.raises(NotTold, match="ended with 3"):
        tell_of_failure(f"{sys.executable} -c 'raise SystemExit(3)'", None, run_id="r", job="j", steps=[])


def test_what_is_sealed_by_the_application_after_cutover_survives_rotation_and_the_way_back(ended):
    at = ended()
    at.sql("UPDATE credentials SET password = %s WHERE id = (SELECT min(id) FROM credentials)", sealed("since"))
    keys = {"CREDSTORE_TARGET_KEY": "new", "CREDSTORE_SOURCE_KEYS": json.dumps([TARGET_KEY])}
    assert launch(at, "rotate_target_key", "rotate", **keys)[0]
    success, _, told, _ = launch(at, "rollback_export", "export", config={"swap": True}, **keys)
    assert success, told
    assert any(row.get("password") == "since" for row in content(at, "new").values())


@pytest.mark.usefixtures("unhurried")
def test_the_failure_sensor_tells_of_a_run_that_failed(loaded, tmp_path):
    at = loaded()
    place, script = tmp_path / "told", tmp_path / "tell.py"
    script.write_text(f"import sys; open({str(place)!r}, 'w').write(sys.stdin.read())")
    with environment(at, CREDSTORE_FAILURE_COMMAND=f"{sys.executable} {script}") as instance:
        result = defs.resolve_job_def("cutover").execute_in_process(
            instance=instance, raise_on_error=False, run_config={"ops": {"cut_over": {"config": {"confirm": "x"}}}}
        )
        context = dg.build_run_status_sensor_context(
            sensor_name="failed_run_sensor",
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            dagster_event=result.get_run_failure_event(),
        ).for_run_failure()
        failed_run_sensor(context)
    told = json.loads(place.read_text())
    assert (told["run_id"], told["job"], told["failed_steps"]) == (result.run_id, "cutover", ["cut_over"])
    assert str(at.store.path) not in place.read_text()
