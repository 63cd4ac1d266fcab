"""Runs that a code server took with it."""

import dagster as dg
import pytest
from dagster._core.storage.tags import GRPC_INFO_TAG

from credstore_pipeline.lost_runs import GONE, end_lost_runs

CODE_SERVER = {GRPC_INFO_TAG: '{"host": "code", "port": 4000}'}


@pytest.mark.parametrize(
    ("status", "tags", "ends"),
    [
        (dg.DagsterRunStatus.STARTED, CODE_SERVER, True),
        (dg.DagsterRunStatus.STARTED, {}, False),
        (dg.DagsterRunStatus.STARTING, CODE_SERVER, False),
        (dg.DagsterRunStatus.CANCELING, CODE_SERVER, False),
        (dg.DagsterRunStatus.SUCCESS, CODE_SERVER, False),
    ],
    ids=["at work", "of a command line", "starting", "cancelled", "ended"],
)
def test_runs_at_work_in_a_code_server_end_and_no_others(tmp_path, status, tags, ends):
    @dg.job
    def migrate() -> None: ...

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        run = instance.create_run_for_job(migrate, status=status, tags=tags)
        assert end_lost_runs(instance) == ([run.run_id] if ends else [])
        now = instance.get_run_by_id(run.run_id)
        assert now.status == (dg.DagsterRunStatus.FAILURE if ends else status)
        said = [entry.dagster_event.message for entry in instance.all_logs(run.run_id) if entry.dagster_event]
        assert (GONE in said) is ends
        assert end_lost_runs(instance) == []
