"""The names that operators, schedules and dashboards rely on; a change here is a change of contract."""

import dagster as dg
import pytest

from credstore_pipeline.definitions import defs
from credstore_pipeline.io_manager import SealedParquetIOManager

ASSETS = {
    "sqlite/store",
    "backup/snapshot",
    "extracted/tags",
    "extracted/credentials",
    "extracted/credential_tags",
    "preflight/census",
    "validated/tags",
    "validated/credentials",
    "validated/credential_tags",
    "quarantine/rows",
    "postgres/tags",
    "postgres/credentials",
    "postgres/credential_tags",
    "report/migration",
    "seed/default_tags",
    "seed/default_credentials",
}

BLOCKING = {
    "backup/snapshot": {"schema_is_known", "snapshot_matches_source"},
    "preflight/census": {"every_secret_opens"},
    "validated/credentials": {"nothing_is_lost"},
    "quarantine/rows": {"quarantine_is_allowed"},
    "postgres/credentials": {
        "row_counts_match",
        "secrets_match_source",
        "no_plaintext_at_rest",
        "application_can_read",
    },
    "postgres/credential_tags": {"no_orphans", "selection_order_matches"},
}
NOTES = {
    "preflight/census": {"no_published_default_passwords"},
    "postgres/credentials": {"rows_not_ours", "no_conflicts_wait"},
    "sqlite/store": {"no_write_after_cutover"},
}

SEEDS = {"seed/default_tags", "seed/default_credentials"}
JOBS = {
    "migrate": ASSETS - {"sqlite/store"} - SEEDS,
    "seed_default_tags": {"seed/default_tags"},
    "seed_default_credentials": SEEDS,
    "preflight": {
        "backup/snapshot",
        "extracted/tags",
        "extracted/credentials",
        "extracted/credential_tags",
        "preflight/census",
    },
    "verify": set(),
    "resync": ASSETS - {"sqlite/store"} - SEEDS,
    "watch": set(),
}
OPERATIONS = {
    "resolve_conflicts",
    "replay_quarantine",
    "cutover",
    "rollback_export",
    "rotate_target_key",
    "key_retirement",
    "undo_initial_load",
    "restore",
    "purge",
}
"""Jobs of one op each: no selection of assets can run them."""


def graph():
    return defs.resolve_asset_graph()


def names(keys):
    return {key.to_user_string() for key in keys}


def test_assets_are_these_and_no_stray_external_one_was_invented():
    assert names(graph().get_all_asset_keys()) == ASSETS
    assert names(graph().external_asset_keys) == {"sqlite/store"}


def test_checks_are_these_and_the_right_ones_block():
    found = {True: {}, False: {}}
    for key in graph().asset_check_keys:
        blocking = graph().get_check_spec(key).blocking
        found[blocking].setdefault(key.asset_key.to_user_string(), set()).add(key.name)
    assert found[True] == BLOCKING
    assert found[False] == NOTES


@pytest.mark.parametrize("job", JOBS)
def test_jobs_run_these_assets(job):
    selected = defs.resolve_job_def(job).asset_layer.selected_asset_keys
    assert names(selected) == JOBS[job]


def test_there_is_no_other_job():
    assert {job.name for job in defs.resolve_all_job_defs()} - {"__ASSET_JOB"} == set(JOBS) | OPERATIONS
    for name in OPERATIONS:
        assert not defs.resolve_job_def(name).asset_layer.selected_asset_keys


def test_schedules_and_sensors_are_these_and_stopped_unless_enabled():
    assert {schedule.name for schedule in defs.schedules} == {"resync_schedule"}
    assert {sensor.name for sensor in defs.sensors} == {"source_changed_sensor", "failed_run_sensor"}
    assert {sensor.default_status for sensor in defs.sensors} == {dg.DefaultSensorStatus.STOPPED}


@pytest.mark.parametrize("job", JOBS)
def test_a_blocking_check_runs_in_every_job_that_runs_its_asset(job):
    layer = defs.resolve_job_def(job).asset_layer
    checked = {(key.asset_key.to_user_string(), key.name) for key in layer.asset_graph.asset_check_keys}
    wanted = {(asset, name) for asset in JOBS[job] for name in BLOCKING.get(asset, set())}
    assert wanted <= checked


def test_the_flow_reads_in_order():
    def upstream(asset):
        return names(graph().get(dg.AssetKey(asset.split("/"))).parent_keys)

    assert upstream("backup/snapshot") == {"sqlite/store"}
    assert upstream("extracted/credentials") == {"backup/snapshot"}
    assert upstream("preflight/census") == {"extracted/tags", "extracted/credentials", "extracted/credential_tags"}
    assert "preflight/census" in upstream("validated/credentials")
    assert {"validated/tags", "validated/credentials", "validated/credential_tags", "quarantine/rows"} <= upstream(
        "postgres/credentials"
    )
    assert upstream("report/migration") == {"postgres/tags", "postgres/credentials", "postgres/credential_tags"}
    assert upstream("seed/default_tags") == {"postgres/tags", "postgres/credentials", "postgres/credential_tags"}
    assert "seed/default_tags" in upstream("seed/default_credentials")


def test_nothing_can_fall_back_to_another_io_manager():
    assert isinstance(defs.resources["io_manager"], SealedParquetIOManager)


def test_no_resource_shows_a_configurable_field():
    for name in ("credstore", "io_manager"):
        schema = defs.resources[name].to_config_schema().as_field().config_type
        assert set(getattr(schema, "fields", {})) <= {"credstore"}, name


def test_every_asset_and_check_says_what_it_is():
    for key in graph().get_all_asset_keys():
        assert graph().get(key).description, key
    for key in graph().asset_check_keys:
        assert graph().get_check_spec(key).description, key
