"""The job `resync` through the real Dagster: guards confirmed in run config, and a large store that has not changed."""

from functools import partial
from pathlib import Path

import pytest

from credstore_pipeline.assets import snapshot
from credstore_pipeline.core.taking import take
from credstore_pipeline_tests.pipeline.flow import TARGET_KEY, content, sealed
from credstore_pipeline_tests.report.outline import said
from credstore_pipeline_tests.sync.test_situations import first, in_source


@pytest.fixture
def resync(at):
    """Launch the job on the loaded lab."""
    return partial(at.run, "resync", CREDSTORE_TARGET_KEY=TARGET_KEY, CREDSTORE_MAX_QUARANTINED="10")


@pytest.mark.ci
def test_a_guard_is_confirmed_by_its_number_in_run_config(at, resync):
    in_source(at, "DELETE FROM credentials WHERE rowid <= 5")
    run = resync(CREDSTORE_MAX_QUARANTINED_LINKS="100")
    assert not run.success
    assert "5 of 12 credentials were deleted in the source" in run.failure
    assert "{ops: {postgres: {config: {confirm: {deleted_credentials: 5}}}}}" in run.failure
    config = {"ops": {"postgres": {"config": {"confirm": {"deleted_credentials": 5}}}}}
    run = resync(config=config, CREDSTORE_MAX_QUARANTINED_LINKS="100")
    assert run.success, run.failure
    assert run.metadata("postgres/credentials")["deleted"] == 5


@pytest.mark.ci
def test_a_large_store_that_has_not_changed_is_neither_read_nor_proven_again_until_something_happens(
    at, resync, monkeypatch
):
    monkeypatch.setattr(snapshot, "take", partial(take, large_rows=0))
    # The template was loaded without a report, so that nothing says that it was proven.
    assert resync().metadata("extracted/credentials")["dagster/row_count"] == 12
    before, kept = at.state(), sorted(at.snapshots.iterdir())
    run = resync()
    assert run.success, run.failure
    assert (at.state(), sorted(at.snapshots.iterdir())) == (before, kept)
    assert run.metadata("postgres/credentials")["dagster/row_count"] == 12
    assert any("Nothing changed since the last load, so that no row was read." in line for line in run.log)
    assert set(run.checks.values()) == {True}
    assert "Not made anew" in str(run.events)
    page = said(Path(run.metadata("report/migration")["page"]).read_text())
    assert "There was nothing to write. None of the 40 rows has changed since all were proven." in page
    # A person's decision, another setting, a write: each is looked at.
    one = first(at)
    at.sql("UPDATE public.credentials SET password = %s WHERE id = %s", sealed("theirs"), one)
    again = resync(CREDSTORE_CONFLICTS="target")
    assert not any("no row was read" in line for line in again.log)
    in_source(at, "UPDATE credentials SET description = 'changed'")
    assert resync(CREDSTORE_CONFLICTS="target").success
    assert {row.get("description") for key, row in content(at).items() if key.startswith("credentials ")} == {"changed"}
