"""What lies between steps: sealed, of one run, and gone when it is no longer needed."""

import os
import stat
import threading
import uuid

import dagster as dg
import fsspec
import pytest

from credstore_pipeline.definitions import credstore, defs
from credstore_pipeline.io_manager import SealedParquetIOManager
from credstore_pipeline.resources import Credstore
from credstore_pipeline_tests.core.target.ddl import W5FF43A7
from credstore_pipeline_tests.lab import ALLOW_ALL
from credstore_pipeline_tests.pipeline.flow import session
from credstore_pipeline_tests.pipeline.test_concurrency import await_blocked, stop_loads_half_way
from credstore_pipeline_tests.window.conftest import environment

LOAD = ("postgres/tags", "postgres/credentials", "postgres/credential_tags")


def staged(at):
    return [path for path in (at.home / "staging").rglob("*") if path.is_file()]


def migrate():
    """The job, as Dagster finds it again by name."""
    return defs.resolve_job_def("migrate")


def re_execute(at, run_id):
    """Do again what failed of a run, and what comes after it, as the UI's button does."""
    with dg.DagsterInstance.from_config(str(at.home)) as instance:
        options = dg.ReexecutionOptions.from_failure(run_id, instance)
        return dg.execute_job(dg.reconstructable(migrate), instance=instance, reexecution_options=options).success


@pytest.mark.ci
def test_a_re_execution_writes_beside_what_a_killed_process_of_the_same_number_left(lab):
    """Found failing with FileExistsError: a restarted container counts its processes from 1 again."""
    at = lab("lost_env")
    refused = at.run()
    assert "validated" in refused.failure
    folder = at.home / "staging" / refused.run_id
    for name in ("tags", "credentials", "credential_tags"):
        (folder / f"validated__{name}.sealed.{os.getpid()}.partial").write_bytes(b"half a frame")
    with environment(at, **ALLOW_ALL):
        assert re_execute(at, refused.run_id)


@pytest.mark.ci
def test_what_a_re_execution_reads_is_not_removed_by_another_run(lab):
    """Found removed under its hands: the first run was over, and only what a run wrote was held."""
    at = lab("setup_plain")
    at.sql(W5FF43A7.replace("{schema}", "public"))
    at.sql("ALTER TABLE public.credential_tags ADD CONSTRAINT none CHECK (false) NOT VALID")
    failed = at.run()
    assert not failed.success
    at.sql("ALTER TABLE public.credential_tags DROP CONSTRAINT none")
    ended = []
    running = threading.Thread(target=lambda: ended.append(re_execute(at, failed.run_id)))
    with environment(at) as others:
        with session(at.database) as application:
            stop_loads_half_way(application)
            running.start()
            await_blocked(at)
            manager = SealedParquetIOManager(credstore=Credstore())
            removed, left = manager.forget_finished(others, "another run"), staged(at)
        running.join()
    assert (removed, len(left) > 0, ended) == (0, True, [True])


def test_elsewhere_than_on_a_local_disk_a_re_execution_that_goes_on_keeps_its_first_runs_files(lab):
    at, root = lab("setup_plain"), str(uuid.uuid4())
    place = f"memory://staging-{root}"
    files = fsspec.filesystem("memory")
    files.pipe(f"/staging-{root}/{root}/validated__tags.sealed", b"a frame")
    with environment(at, CREDSTORE_STAGING_URL=place) as instance:
        manager = SealedParquetIOManager(credstore=Credstore())
        instance.add_run(dg.DagsterRun(job_name="migrate", run_id=root, status=dg.DagsterRunStatus.FAILURE))
        again = dg.DagsterRun(
            job_name="migrate",
            status=dg.DagsterRunStatus.STARTED,
            root_run_id=root,
            parent_run_id=root,
            tags={"dagster/root_run_id": root},
        )
        instance.add_run(again)
        assert manager.forget_finished(instance, "another run") == 0
        instance.delete_run(again.run_id)
        assert manager.forget_finished(instance, "another run") == 1
    assert not files.exists(f"/staging-{root}/{root}")


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
