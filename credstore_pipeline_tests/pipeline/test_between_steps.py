"""What lies between steps: sealed, of one run, and gone when it is no longer needed."""

import stat

import dagster as dg
import pytest

from credstore_pipeline.definitions import credstore
from credstore_pipeline.io_manager import SealedParquetIOManager
from credstore_pipeline_tests.lab import ALLOW_ALL

LOAD = ("postgres/tags", "postgres/credentials", "postgres/credential_tags")


def staged(at):
    return [path for path in (at.home / "staging").rglob("*") if path.is_file()]


@pytest.mark.ci
def test_a_step_alone_takes_nothing_from_another_run_and_says_where_to_start(lab):
    at = lab("setup_plain")
    assert at.run(only=("backup/snapshot",)).success
    alone = at.run(only=LOAD)
    assert not alone.success
    assert "was not made in this run" in alone.failure
    assert "Launch the whole job again" in alone.failure
    assert at.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


@pytest.mark.ci
def test_files_between_steps_are_the_owners_alone_and_leave_with_the_next_run(lab):
    at = lab("lost_env")
    refused = at.run(CREDSTORE_MISSING_TAGS="placeholder")
    assert not refused.success
    left = staged(at)
    assert left
    assert {path.parent.name for path in left} == {refused.run_id}
    assert {stat.S_IMODE(path.stat().st_mode) for path in left} == {0o600}
    assert {stat.S_IMODE(path.parent.stat().st_mode) for path in left} == {0o700}
    assert at.run(CREDSTORE_MISSING_TAGS="placeholder", **ALLOW_ALL).success
    assert staged(at) == []


@pytest.mark.ci
def test_staging_can_be_any_place_that_fsspec_reaches(lab):
    at = lab("setup_plain")
    run = at.run(CREDSTORE_STAGING_URL="memory://staging")
    assert run.success, run.failure
    assert not (at.home / "staging").exists()


def test_only_frames_pass():
    manager = SealedParquetIOManager(credstore=credstore)
    context = dg.build_output_context(asset_key=dg.AssetKey(["validated", "credentials"]))
    with pytest.raises(dg.Failure, match="a dict is not a frame and is not written"):
        manager.handle_output(context, {"password": "x"})
