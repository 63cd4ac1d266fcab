"""Everything that compose starts, as processes: a fresh machine gets its tables, its seeds and its migrated store."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
import tenacity
from tenacity import stop_after_delay, wait_fixed

from credstore_pipeline.core.target.lock import lock_key
from credstore_pipeline.demo.stores import build_store
from credstore_pipeline.embedded import embedded_server
from credstore_pipeline.store import CredentialStore
from credstore_pipeline_tests.conftest import THROWAWAY
from credstore_pipeline_tests.containers.system import System
from credstore_pipeline_tests.ports import free_port
from credstore_pipeline_tests.waiting import await_true

EVERY_MINUTE = {"CREDSTORE_RESYNC_CRON": "* * * * *", "CREDSTORE_RESYNC_ENABLED": "true"}


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with tempfile.TemporaryDirectory(prefix="credstore-tests-own-") as folder:
        # As root the server runs as another user, who has to pass through.
        Path(folder).chmod(0o711)
        store = build_store(tmp_path / "store", "setup_plain")
        with embedded_server(Path(folder) / "server", port=free_port(), settings=THROWAWAY) as server:
            made = System(
                tmp_path / "system", server, store, {**EVERY_MINUTE, "CREDSTORE_LEGACY_FILE": store.path.name}
            )
            yield made
            made.stop()


@pytest.mark.ci
def test_from_nothing_to_a_seeded_and_migrated_store_by_graphql_and_by_the_schedule(system):
    system.up()
    assert list(system.processes) == ["init", "code", "webserver", "daemon"]
    assert "4 tags made" in system.log("init")
    system.healthy("webserver")
    run_id = system.launch("migrate")
    migrated = system.ended(lambda: [run for run in system.runs() if run["runId"] == run_id])
    assert migrated["status"] == "SUCCESS", system.log("code")[-5000:]
    system.healthy("daemon")
    scheduled = system.ended(lambda: system.runs(**{"dagster/schedule_name": "resync_schedule"}))
    assert scheduled["status"] == "SUCCESS", system.log("code")[-5000:]

    assert not any("Traceback" in system.log(name) for name in ("webserver", "daemon")), system.log("daemon")[-5000:]
    a_run_that_goes_with_the_code_server_fails_and_keeps_no_other_out(system)
    url = system.server.url("netraven").set(username="credstore_app", password=system.secrets["app_password"])
    with CredentialStore(url, system.secrets["netraven_encryption_key"]) as store:
        (one,) = store.list_credentials(limit=1)
        assert store.get_credential(one.id).password
        assert {"Routers", "Switches", "Firewalls", "Default"} <= {tag.name for tag in store.list_tags()}
    system.stop()
    keys_are_only_where_they_are_needed(system)
    nothing_secret_is_in_dagsters_storage_or_in_what_was_said(system)


def a_run_that_goes_with_the_code_server_fails_and_keeps_no_other_out(system: System) -> None:
    other_load = psycopg2.connect(
        system.server.url("netraven").set(drivername="postgresql").render_as_string(hide_password=False)
    )
    with other_load.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (lock_key("public"),))
    run_id = system.launch("migrate")
    await_true(lambda: status(system, run_id) == "STARTED", max_s=300)
    system.crash("code")
    other_load.close()
    system.healthy("code")
    assert f"run {run_id} was at work" in system.log("code")
    assert status(system, run_id) == "FAILURE"
    # Who could not reach the code server tries again after a while, and is asked again.
    for attempt in tenacity.Retrying(stop=stop_after_delay(300), wait=wait_fixed(1), reraise=True):
        with attempt:
            next_id = system.launch("migrate")
    again = system.ended(lambda: [run for run in system.runs() if run["runId"] == next_id])
    assert again["status"] == "SUCCESS", system.log("code")[-5000:]
    assert system.runs(**{"dagster/parent_run_id": run_id}) == []


def status(system: System, run_id: str) -> str:
    return next(str(run["status"]) for run in system.runs() if run["runId"] == run_id)


def keys_are_only_where_they_are_needed(system: System) -> None:
    for name in ("webserver", "daemon"):
        told = system.environment(name)
        assert not any("ENCRYPTION" in each or "TARGET_KEY" in each or each.startswith("POSTGRES_") for each in told)


def nothing_secret_is_in_dagsters_storage_or_in_what_was_said(system: System) -> None:
    hidden = [*system.secrets.values()]
    for log in system.folder.glob("*.log"):
        assert not any(secret in log.read_text(errors="replace") for secret in hidden), log.name
    url = system.server.url("dagster").set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            tables = [name for (name,) in cursor.fetchall()]
            assert {"runs", "event_logs", "kvs"} <= set(tables)
            for table in tables:
                cursor.execute(f"SELECT t::text FROM {table} t")
                stored = "\n".join(row for (row,) in cursor.fetchall())
                assert not any(secret in stored for secret in hidden), table
    finally:
        connection.close()
