"""Sequences that taught something while the state machine was built, each step by step."""

from itertools import zip_longest

import pytest

from credstore_pipeline_tests.sync.test_machine import window
from credstore_pipeline_tests.sync.world import CUTOVER_CRASHES, ROLLBACK_CRASHES

__all__ = ["window"]


@pytest.fixture
def machine(window):
    """A machine that is open and driven by hand."""
    made = window()
    made.open()
    yield made
    made.teardown()


@pytest.mark.ci
def test_the_window_ends_is_rolled_back_and_goes_on(machine):
    machine.target_adds(table="credentials", pick=0)
    machine.target_adds(table="credential_tags", pick=3)
    machine.window_ends_and_is_rolled_back(table="credentials", pick=1, which=2)
    machine.source_changes(table="credentials", pick=0, which=2)
    machine.target_changes(table="credentials", pick=0, which=2)
    machine.source_deletes(table="credential_tags", pick=0, whole=True)
    machine.pass_()
    assert machine.model.waiting
    machine.person_decides(pick=0, choice="source")
    machine.window_ends_and_is_rolled_back(table="tags", pick=1, which=1)


@pytest.mark.ci
@pytest.mark.parametrize(("crash", "crash_back"), list(zip_longest(CUTOVER_CRASHES, ROLLBACK_CRASHES)))
def test_a_window_ends_and_is_rolled_back_wherever_a_run_dies(machine, crash, crash_back):
    machine.window_ends_and_is_rolled_back(table="credentials", pick=1, which=2, crash=crash, crash_back=crash_back)
    machine.pass_()


@pytest.mark.ci
def test_a_credential_that_comes_back_changed_brings_its_associations_although_they_have_tombstones(machine):
    machine.source_deletes(table="credentials", pick=0, whole=False)
    machine.pass_()
    machine.source_brings_back(pick=0, table="credentials", changed=True)
    machine.pass_()
    links = [row for key, row in machine.model.target.items() if key[0] == "credential_tags"]
    assert len(links) == 4
    machine.source_deletes(table="credentials", pick=0, whole=True)
    machine.target_changes(table="credentials", pick=0, which=1)
    machine.pass_()
    machine.person_decides(pick=0, choice="target")
    machine.pass_()


def test_a_decision_after_the_target_key_changed_seals_under_the_new_one(machine):
    machine.source_changes(table="credentials", pick=0, which=3)
    machine.target_changes(table="credentials", pick=0, which=3)
    machine.pass_()
    machine.target_key_changes()
    machine.person_decides(pick=0, choice="source")
    machine.pass_()
    machine.pass_that(how="is followed by another")


def test_a_lost_password_holds_its_row_and_no_other(machine):
    machine.source_password_is_lost(pick=0)
    machine.source_changes(table="credential_tags", pick=0, which=0)
    machine.target_changes(table="credentials", pick=0, which=0)
    machine.pass_()
    machine.source_changes(table="credentials", pick=0, which=3)
    machine.pass_()
    machine.source_seals_anew(pick=0)
    machine.pass_that(how="is not told of its commit")


@pytest.mark.ci
def test_a_tag_that_both_stores_deleted_differently_takes_nothing_with_it(machine):
    machine.source_deletes(table="tags", pick=0, whole=False)
    machine.pass_()
    machine.target_deletes(table="tags", pick=0)
    machine.source_logs_in(pick=0, table="credential_tags", skewed=True, reset=False)
    machine.pass_()
    machine.source_brings_back(pick=0, table="tags", changed=False)
    machine.pass_that(how="dies before its commit")
    machine.pass_()


@pytest.mark.ci
def test_a_tag_of_the_applications_own_is_known_to_the_file_that_it_was_rolled_back_into(machine):
    """Found writing its mapping at the next pass, although nothing had changed."""
    machine.target_adds(table="tags", pick=0)
    machine.window_ends_and_is_rolled_back(pick=0, table="tags", which=0)


def test_dates_that_were_confirmed_once_do_not_stop_the_cutover(machine):
    """Found refusing every pass anew: the row is deleted in the target, so that no load moves its base."""
    machine.target_key_changes()
    machine.source_logs_in(pick=1535, reset=True, skewed=True, table="credential_tags")
    machine.target_deletes(pick=2255, table="tags")
    machine.window_ends_and_is_rolled_back(pick=0, table="tags", which=0)


@pytest.mark.ci
def test_a_tag_of_the_applications_own_is_edited_in_the_file_that_it_was_rolled_back_into(machine):
    """Found leaving the edit out: the tag still counted as the application's alone."""
    machine.target_adds(table="tags", pick=0)
    machine.window_ends_and_is_rolled_back(table="credentials", pick=0, which=0)
    machine.source_changes(table="tags", pick=0, which=1)
    machine.pass_()
    machine.source_deletes(table="tags", pick=0, whole=True)
    machine.pass_()


def test_a_tag_that_postgresql_kept_comes_back_edited(machine):
    """Found leaving the edit out: with a tombstone in its base the tag counted as the application's."""
    machine.target_changes(table="tags", pick=0, which=1)
    machine.source_deletes(table="tags", pick=0, whole=True)
    machine.pass_(policy="target")
    machine.source_brings_back(table="tags", pick=0, changed=True)
    machine.pass_()
