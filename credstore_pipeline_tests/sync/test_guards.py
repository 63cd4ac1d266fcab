"""What looks like another source is refused before anything is written, and loaded when the number is confirmed."""

import re

import pytest

from credstore_pipeline.core.errors import GuardRefused
from credstore_pipeline.core.load.transaction import load
from credstore_pipeline_tests.pipeline.flow import flow, source


def changed(at, *statements):
    with source(at) as store:
        for statement in statements:
            store.execute(statement)


def refused(at, **policies):
    """The refusal's text; nothing was written, and the number that it names lets the same run pass."""
    before = (at.state(), at.state("credstore_sync"))
    run = flow(at, **policies)
    cargo = run.cargo()
    with pytest.raises(GuardRefused) as found:
        run.load(cargo)
    assert (at.state(), at.state("credstore_sync")) == before
    text = str(found.value)
    confirm = {name: int(number) for name, number in re.findall(r"(\w+): (\d+)", text.split("confirm: ")[1])}
    wrong = {name: number + 1 for name, number in confirm.items()}
    with pytest.raises(GuardRefused):
        load(run.deployment, run.ring, run.run_id, cargo, log=run.log.append, confirm=wrong)
    load(run.deployment, run.ring, run.run_id, cargo, log=run.log.append, confirm=confirm)
    assert not run.red()
    again = flow(at, **policies)
    again.load()
    return text


def test_a_file_whose_updated_at_went_back_is_older(at):
    changed(at, "UPDATE credentials SET updated_at = '2001-01-01 00:00:00.000000' WHERE rowid = 2")
    assert "`updated_at` of 1 rows went back: the file is older (credentials id=" in refused(at)


def test_fewer_than_half_of_the_bases_rows_are_another_store(at):
    changed(at, *(f"UPDATE {table} SET id = substr('x' || id, 1, 36)" for table in ("credentials", "credential_tags")))
    changed(at, "UPDATE credential_tags SET credential_id = substr('x' || credential_id, 1, 36)")
    assert "are not in the file: another store" in refused(at)


def test_an_empty_file_is_refused(at):
    changed(at, "DELETE FROM credential_tags", "DELETE FROM credentials", "DELETE FROM tags")
    assert "are not in the file: an empty one" in refused(at)


def test_a_file_without_one_of_its_tables_is_truncated(at):
    changed(at, "DELETE FROM tags")
    assert "tags has no row left of 4: truncated" in refused(at)


def test_another_flavour_is_refused(at):
    at.sql("UPDATE credstore_sync.runs SET flavour = 'setup script'")
    assert "the last load's was setup script" in refused(at)


def test_more_deletions_than_a_tenth_are_refused_and_three_never_are(at):
    changed(at, "DELETE FROM credentials WHERE rowid <= 3")
    flow(at).load()
    changed(at, "DELETE FROM credentials WHERE rowid <= 7")
    assert "4 of 9 credentials were deleted in the source, at most 3 are expected" in refused(at)


def test_all_associations_but_none_of_their_credentials_are_never_deleted_unasked(at):
    changed(at, "DELETE FROM credential_tags")
    assert "credential_tags has no row left" in refused(at, max_delete_fraction=1.0)
