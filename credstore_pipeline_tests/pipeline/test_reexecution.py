"""Runs that are executed again in the UI: all steps are a run of their own, a retry goes on where its parent failed."""

import pytest

from credstore_pipeline.core.errors import Superseded
from credstore_pipeline_tests.pipeline.flow import already, flow, source


@pytest.fixture
def at(administrator, database, tmp_path):
    """A lab after a good load."""
    return already("reexecuted", "web", lambda lab: flow(lab).load(), administrator, database, tmp_path)


def rename_all(at, name):
    with source(at) as store:
        store.execute("UPDATE credentials SET username = ?", (name,))


def names(at):
    return {row[0] for row in at.sql("SELECT username FROM public.credentials")}


def resyncs(at):
    """Run id -> whether its proofs were recorded as green."""
    return dict(at.sql("SELECT run_id, proven_at IS NOT NULL FROM credstore_sync.runs WHERE kind = 'resync'"))


def fail_proofs(at):
    """Let the step after the load fail."""
    at.sql(
        "CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION USING ERRCODE = '23514'; END $$; CREATE TRIGGER fail BEFORE INSERT "
        "ON credstore_sync.verified FOR EACH ROW EXECUTE FUNCTION public.fail()"
    )


def let_proofs_pass(at):
    at.sql("DROP TRIGGER fail ON credstore_sync.verified")


@pytest.mark.ci
def test_all_steps_executed_again_load_what_changed_since(at):
    """The load found Dagster's root run in its books, took that for its own, loaded nothing and was green."""
    rename_all(at, "before")
    first = at.run()
    assert first.success, first.failure
    rename_all(at, "after")
    again = at.again(first)
    assert again.success, again.failure
    assert names(at) == {"after"}
    assert resyncs(at) == {first.run_id: True, again.run_id: True}
    assert not any("acknowledgement" in line for line in again.log)
    assert at.report(again)["outcome"] == at.report(first)["outcome"] == "migrated and proven"


@pytest.mark.ci
def test_a_retry_from_failure_goes_on_with_what_was_loaded_by_the_run_that_it_retries(at):
    """Even where that run was another one's with all steps executed again: it is not the root that goes on."""
    rename_all(at, "before")
    first = at.run()
    rename_all(at, "after")
    fail_proofs(at)
    again = at.again(first)
    assert not again.success
    assert resyncs(at) == {first.run_id: True, again.run_id: False}
    let_proofs_pass(at)
    rename_all(at, "of the next run")
    retried = at.again(again, from_failure=True)
    assert retried.success, retried.failure
    assert names(at) == {"after"}
    assert resyncs(at) == {first.run_id: True, again.run_id: True}
    assert at.report(again)["outcome"] == "migrated and proven"


@pytest.mark.ci
def test_a_load_that_is_retried_with_the_same_snapshot_finds_that_it_had_committed(at):
    rename_all(at, "before")
    fail_proofs(at)
    first = at.run()
    assert not first.success
    let_proofs_pass(at)
    loaded = at.state()
    retried = at.again(first, steps=("postgres+",))
    assert retried.success, retried.failure
    assert any("only its acknowledgement was lost" in line for line in retried.log)
    assert at.state() == loaded
    assert resyncs(at) == {first.run_id: True}


def test_a_run_that_loaded_one_snapshot_does_not_pass_another_for_loaded(at):
    run = flow(at)
    rename_all(at, "before")
    cargo = run.cargo()
    run.load(cargo)
    assert run.load(cargo).proven_rows == 0
    rename_all(at, "after")
    with pytest.raises(Superseded, match=f"run {run.run_id} has loaded another before. The target is unchanged"):
        run.load()
    assert names(at) == {"before"}
