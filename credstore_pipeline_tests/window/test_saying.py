"""What an operation says when its report cannot be written: the disk may be full just after the commit."""

import json

import pytest

from credstore_pipeline_tests.pipeline.flow import TARGET_KEY
from credstore_pipeline_tests.window.test_operations import launch


@pytest.fixture
def at(loaded):
    """A loaded lab in whose home no report can be written: a file stands where their folder is to be."""
    made = loaded()
    made.home.mkdir(exist_ok=True)
    (made.home / "reports").write_text("in the way")
    return made


def test_a_cutover_that_cannot_be_reported_fails_and_is_said_to_stand(at):
    """Found saying "Nothing is frozen, nothing is recorded" of a cutover that was recorded."""
    success, _, told, _ = launch(at, "cutover", "cut_over", config={"confirm": str(at.store.path)})
    assert not success
    assert at.sql("SELECT count(*) FROM credstore_sync.cutover WHERE cleared_at IS NULL") == [(1,)]
    assert "cut_over: The cutover is recorded and stands" in told
    assert "NotADirectoryError at " in told
    assert "Nothing is frozen" not in told
    assert "launch again" not in told


def test_a_rotation_that_cannot_be_reported_says_that_readers_must_restart(at):
    """Found saying "The target is as it was": readers were not restarted and opened nothing any more."""
    keys = {"CREDSTORE_TARGET_KEY": "new", "CREDSTORE_SOURCE_KEYS": json.dumps([TARGET_KEY])}
    success, _, told, _ = launch(at, "rotate_target_key", "rotate", **keys)
    assert not success
    assert "sealed under the new key, and stay so. Readers must restart with the new key" in told
    assert "as it was" not in told


def test_a_file_that_cannot_be_reported_is_named_all_the_same(at):
    success, _, told, _ = launch(at, "rollback_export", "export", config={})
    assert not success
    (written,) = at.snapshots.glob("*rollback*")
    assert f"The file {written} holds what PostgreSQL holds" in told
    assert "Both stores are as they were" not in told


def test_a_refusal_that_cannot_be_reported_is_told_and_not_hidden(at):
    """Found telling of the report's NotADirectoryError in place of the refusal."""
    success, _, told, _ = launch(at, "cutover", "cut_over", config={"confirm": "no"})
    assert not success
    assert f"Write confirm: {at.store.path}" in told
    assert "Nothing is frozen" in told
