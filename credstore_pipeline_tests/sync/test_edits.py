"""A large store of which rows were edited: those alone are read, opened and proven, and it comes to a whole pass's."""

from pathlib import Path

import pytest

from credstore_pipeline.core.errors import GuardRefused, ProofFailed, Superseded
from credstore_pipeline.core.load.transaction import load
from credstore_pipeline.core.passing import extracted_rows
from credstore_pipeline.core.source import edits
from credstore_pipeline.core.taken import edits_of
from credstore_pipeline_tests.core.target.ddl import W5FF43A7
from credstore_pipeline_tests.pipeline.flow import TARGET_KEY, already, born, content, flow, sealed, source
from credstore_pipeline_tests.report.outline import said
from credstore_pipeline_tests.sync.test_situations import first, in_source, legacy, row, waiting

OWN = (("credentials", "id"), ("credential_tags", "credential_id"))
"""Tables that speak of a credential, with its id's column."""

LATER_RUN = (
    "INSERT INTO credstore_sync.runs (run_id, kind, pipeline_version, finished_at) "
    "VALUES ('later', 'undo', '0', clock_timestamp())"
)

COPIED = "name, username, password, use_keys, success_count, failure_count, created_at, updated_at"


@pytest.fixture
def at(administrator, database, tmp_path, monkeypatch):
    """A lab whose whole store was loaded and proven; any part of its rows may have been edited."""

    def prepare(lab):
        born(lab, W5FF43A7)
        large(lab).load()

    monkeypatch.setattr(edits, "AT_MOST", 1.0)
    return already("window_proven", "web", prepare, administrator, database, tmp_path)


def large(at, **policies):
    """A run to which every store is a large one."""
    return flow(at, **{"whole_pass_below": 0} | policies)


def passed(at, **policies):
    """A pass, proven; whether it took edits alone."""
    run = large(at, **policies)
    run.load()
    ((told, proven),) = at.sql("SELECT edits_of, proven_at FROM credstore_sync.runs WHERE run_id = %s", run.run_id)
    assert proven is not None
    return told is not None


def of_edits(at, **policies):
    """A run with a cargo of edits alone, about to load it."""
    run = large(at, **policies)
    cargo = run.cargo()
    assert cargo.edits_of
    return run, cargo


def nothing_left_to_do(at):
    """A whole pass afterwards writes nothing, and all its proofs hold."""
    before = at.state()
    run = flow(at)
    loaded = run.load()
    assert not any(count for table, counts in loaded.counts.items() if table != "ledger" for count in counts.values())
    assert at.state() == before
    assert not run.red()


def test_edited_rows_alone_are_read_and_come_to_what_a_whole_pass_makes(at):
    one = first(at)
    in_source(
        at,
        "UPDATE credentials SET username = 'new', password = ?, success_count = success_count + 2 WHERE id = ?",
        legacy(at, "a new secret"),
        one,
    )
    in_source(at, "UPDATE credential_tags SET priority = priority + 0.5 WHERE rowid = 1")
    run = large(at)
    snapshot = run.snapshot()
    read = extracted_rows(run.deployment, snapshot)
    assert {table: frame.rows.num_rows for table, frame in read.items()} == {
        "tags": 4,
        "credentials": 1,
        "credential_tags": 1,
    }
    before = row(at, one)
    run.load(run.cargo(snapshot))
    assert row(at, one) == {
        **before,
        "username": "new",
        "password": "a new secret",
        "success_count": before["success_count"] + 2,
    }
    found = run.finish()
    assert "Of the 2 rows edited since" in found["secrets_match_source"].text
    assert found["secrets_match_source"].numbers["compared"] == 1
    nothing_left_to_do(at)


@pytest.mark.ci
def test_passes_follow_each_other_edit_by_edit(at):
    for number in range(4):
        in_source(at, "UPDATE credentials SET description = ? WHERE rowid <= ?", f"edit {number}", number + 1)
        assert passed(at)
    told = [entry["description"] for key, entry in content(at).items() if key.startswith("credentials ")]
    assert sorted(text for text in told if text and text.startswith("edit")) == ["edit 3"] * 4
    nothing_left_to_do(at)


def test_edits_of_both_sides_are_merged_and_a_conflict_waits(at):
    one = first(at)
    at.sql("UPDATE public.credentials SET description = 'theirs', key_file = 'theirs' WHERE id = %s", one)
    in_source(at, "UPDATE credentials SET description = 'ours', username = 'ours' WHERE id = ?", one)
    assert passed(at)
    assert (row(at, one)["description"], row(at, one)["username"], row(at, one)["key_file"]) == (
        "theirs",
        "ours",
        "theirs",
    )
    assert waiting(at) == [("credentials", one, "description", "changed")]
    # A conflict that waits is every pass's matter.
    in_source(at, "UPDATE credentials SET username = 'again' WHERE id = ?", one)
    assert not passed(at)
    assert waiting(at) == [("credentials", one, "description", "changed")]


def test_an_edited_row_that_the_target_deleted_is_a_conflict_of_a_whole_pass(at):
    one = first(at)
    at.sql("DELETE FROM public.credential_tags WHERE credential_id = %s", one)
    at.sql("DELETE FROM public.credentials WHERE id = %s", one)
    in_source(at, "UPDATE credentials SET username = 'ours' WHERE id = ?", one)
    assert not passed(at)
    assert row(at, one) is None
    assert [entry[:2] for entry in waiting(at)] == [("credentials", one)]


def links_of(at, credential):
    return {key for key, entry in content(at).items() if entry.get("credential_id") == credential}


@pytest.mark.ci
def test_a_credential_that_stayed_deleted_comes_back_with_its_associations_when_it_is_edited(at):
    one = first(at)
    links = links_of(at, one)
    with source(at) as store:
        kept = [store.execute(f"SELECT * FROM {table} WHERE {column} = ?", (one,)).fetchall() for table, column in OWN]
        for table, column in reversed(OWN):
            store.execute(f"DELETE FROM {table} WHERE {column} = ?", (one,))
    passed(at)
    with source(at) as store:
        for (table, _), rows in zip(OWN, kept, strict=True):
            store.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)
    passed(at)
    assert row(at, one) is None
    in_source(at, "UPDATE credentials SET username = 'edited' WHERE id = ?", one)
    assert not passed(at)
    assert row(at, one)["username"] == "edited"
    assert links_of(at, one) == links != set()
    nothing_left_to_do(at)


def test_a_credential_that_the_source_brings_back_by_policy_has_its_associations(at):
    policies = {"conflicts": "source", "secret_conflicts": "source"}
    assert not passed(at, **policies)
    one = first(at)
    links = links_of(at, one)
    at.sql("DELETE FROM public.credential_tags WHERE credential_id = %s", one)
    at.sql("DELETE FROM public.credentials WHERE id = %s", one)
    in_source(at, "UPDATE credentials SET username = 'edited' WHERE id = ?", one)
    assert not passed(at, **policies)
    assert links_of(at, one) == links != set()


def test_one_that_was_deleted_in_the_target_meanwhile_refuses_the_edits(at):
    policies = {"conflicts": "source", "secret_conflicts": "source"}
    passed(at, **policies)
    one = first(at)
    links = links_of(at, one)
    in_source(at, "UPDATE credentials SET username = 'edited' WHERE id = ?", one)
    run, cargo = of_edits(at, **policies)
    at.sql("DELETE FROM public.credential_tags WHERE credential_id = %s", one)
    at.sql("DELETE FROM public.credentials WHERE id = %s", one)
    before = at.state()
    with pytest.raises(Superseded, match="1 credentials were deleted in the target meanwhile"):
        run.load(cargo)
    assert at.state() == before
    assert not passed(at, **policies)
    assert links_of(at, one) == links != set()


def test_without_one_of_the_tags_in_the_target_a_pass_is_whole(at):
    tag = first(at, "tags")
    at.sql("DELETE FROM public.credential_tags WHERE tag_id = %s", tag)
    at.sql("DELETE FROM public.tags WHERE id = %s", tag)
    in_source(at, "UPDATE credentials SET username = 'edited' WHERE rowid = 1")
    assert not passed(at)


def test_an_edit_that_no_key_opens_is_quarantined_and_the_last_good_value_stays(at):
    one = first(at)
    before = row(at, one)
    in_source(at, "UPDATE credentials SET password = ? WHERE id = ?", sealed("x", "a key nobody has"), one)
    assert passed(at)
    assert row(at, one)["password"] == before["password"]
    assert at.sql("SELECT source_id, of_loaded_row FROM credstore_sync.quarantine WHERE resolved_at IS NULL") == [
        (one, True)
    ]
    # While a row is held, every pass looks at all rows.
    in_source(at, "UPDATE credentials SET password = ? WHERE id = ?", legacy(at, "mended"), one)
    assert not passed(at)
    assert row(at, one)["password"] == "mended"
    assert at.sql("SELECT 1 FROM credstore_sync.quarantine WHERE resolved_at IS NULL") == []


@pytest.mark.parametrize(
    "statement",
    [
        f"INSERT INTO credentials (id, {COPIED}) SELECT 'new', {COPIED} FROM credentials WHERE rowid = 2",
        "DELETE FROM credential_tags WHERE rowid = 1",
        "UPDATE tags SET description = 'x' WHERE rowid = 1",
    ],
)
def test_whatever_else_happened_makes_a_whole_pass(at, statement):
    in_source(at, "UPDATE credentials SET username = 'edited' WHERE rowid = 1")
    in_source(at, statement)
    assert not passed(at)
    nothing_left_to_do(at)


@pytest.mark.parametrize(
    "happened",
    [
        "UPDATE credstore_sync.verified SET made_at = made_at - interval '25 hours'",
        "UPDATE credstore_sync.verified SET red = '{no_orphans}'",
        "DELETE FROM credstore_sync.verified",
        "UPDATE credstore_sync.runs SET proven_at = NULL",
        "UPDATE credstore_sync.runs SET settings_digest = 'other'",
        LATER_RUN,
    ],
)
def test_without_a_proven_load_to_build_on_a_pass_is_whole(at, happened):
    in_source(at, "UPDATE credentials SET username = 'edited' WHERE rowid = 1")
    at.sql(happened)
    assert not passed(at)


def test_all_rows_are_looked_at_once_a_day_however_many_passes_were_made(at):
    for hours, alone in ((20, True), (5, False), (1, True)):
        at.sql("UPDATE credstore_sync.verified SET made_at = made_at - make_interval(hours => %s)", hours)
        in_source(at, "UPDATE credentials SET description = coalesce(description, '') || 'x' WHERE rowid = 1")
        assert passed(at) == alone


def test_a_small_store_is_always_looked_at_whole(at):
    in_source(at, "UPDATE credentials SET username = 'edited' WHERE rowid = 1")
    assert not edits_of(large(at, whole_pass_below=10_000).snapshot())


@pytest.mark.parametrize("what", ["removed", "altered"])
def test_without_the_former_snapshot_a_pass_is_whole(at, what):
    ((name,),) = at.sql("SELECT snapshot_name FROM credstore_sync.runs")
    file = at.snapshots / name / "store.db"
    if what == "removed":
        file.unlink()
    else:
        held = file.read_bytes()
        file.write_bytes(held[:-1] + bytes([held[-1] ^ 1]))
    in_source(at, "UPDATE credentials SET username = 'edited' WHERE rowid = 1")
    assert not passed(at)


def test_what_another_run_did_meanwhile_refuses_the_edits(at):
    in_source(at, "UPDATE credentials SET username = 'edited' WHERE rowid = 1")
    run, cargo = of_edits(at)
    at.sql(LATER_RUN)
    before = at.state()
    with pytest.raises(Superseded, match="something happened since run"):
        run.load(cargo)
    assert at.state() == before
    assert not passed(at)


def test_an_older_edit_is_still_an_older_file(at):
    in_source(at, "UPDATE credentials SET username = 'edited', updated_at = '2001-01-01 00:00:00' WHERE rowid = 2")
    run, cargo = of_edits(at)
    with pytest.raises(GuardRefused, match="`updated_at` of 1 rows went back"):
        run.load(cargo)


def test_the_proofs_see_an_edited_row_that_was_not_written_as_meant_and_verify_sees_any_other(at):
    one, other = (found for (found,) in at.sql("SELECT id FROM public.credentials ORDER BY id LIMIT 2"))
    in_source(at, "UPDATE credentials SET username = 'edited' WHERE id = ?", one)
    run = large(at)
    load(run.deployment, run.ring, run.run_id, run.cargo(), log=run.log.append)
    shut = sealed("another", "a key that nobody has")
    at.sql("UPDATE public.credentials SET password = %s WHERE id = %s", shut, other)
    assert not [name for name, found in run.finish().items() if not found.passed]
    assert "secrets_match_source" in flow(at).red()
    at.sql("UPDATE public.credentials SET password = %s WHERE id = %s", shut, one)
    found = run.finish()
    assert not found["secrets_match_source"].passed
    assert one in found["secrets_match_source"].text


def test_what_does_not_read_back_as_meant_is_rolled_back(at):
    in_source(at, "UPDATE credentials SET username = 'edited' WHERE rowid = 1")
    at.sql(
        "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.username := 'spoilt'; "
        "RETURN NEW; END $$; CREATE TRIGGER spoil BEFORE UPDATE ON public.credentials FOR EACH ROW "
        "EXECUTE FUNCTION spoil()"
    )
    run, cargo = of_edits(at)
    with pytest.raises(ProofFailed, match="username"):
        run.load(cargo)


def test_a_schema_of_an_older_pipeline_is_brought_up_before_it_is_read(at):
    at.sql("ALTER TABLE credstore_sync.runs DROP COLUMN edits_of")
    at.sql("UPDATE credstore_sync.alembic_version SET version_num = '0005'")
    in_source(at, "UPDATE credentials SET username = 'edited' WHERE rowid = 1")
    passed(at)
    assert at.sql("SELECT version_num FROM credstore_sync.alembic_version") == [("0006",)]
    nothing_left_to_do(at)


@pytest.mark.ci
def test_the_job_tells_what_it_left_out(at):
    settings = {"CREDSTORE_TARGET_KEY": TARGET_KEY, "CREDSTORE_WHOLE_PASS_BELOW": "0"}
    run = at.run("resync", **settings)
    assert run.success, run.failure
    in_source(at, "UPDATE credentials SET username = 'edited' WHERE rowid = 1")
    run = at.run("resync", **settings)
    assert run.success, run.failure
    read = run.metadata("extracted/credentials")
    assert (read["dagster/row_count"], read["rows_read"]) == (12, 1)
    assert run.metadata("postgres/credentials")["dagster/row_count"] == 12
    assert run.metadata("postgres/credentials")["updated"] == 1
    assert any("rows were edited and nothing else happened: 1 credentials" in line for line in run.log)
    assert "Of the 1 rows edited since" in str(run.events)
    assert set(run.checks.values()) == {True}
    page = said(Path(run.metadata("report/migration")["page"]).read_text())
    assert "1 credentials and associations were edited since the last run, and are proven; the other " in page
    assert page.count("This speaks of the rows that changed since the last run.") == 2
    # `preflight` always looks at all rows.
    looked = at.run("preflight", **settings)
    assert looked.metadata("extracted/credentials")["rows_read"] == 12
    # A cutover relies on proofs of all rows alone.
    assert at.sql("SELECT count(*) FROM credstore_sync.verified") == [(2,)]


@pytest.mark.ci
def test_published_defaults_are_warned_of_until_all_rows_are_looked_at_again(at):
    settings = {"CREDSTORE_TARGET_KEY": TARGET_KEY, "CREDSTORE_WHOLE_PASS_BELOW": "0"}

    def warned():
        run = at.run("resync", **settings)
        assert run.success, run.failure
        return not run.checks["no_published_default_passwords"], run.metadata("extracted/credentials")["rows_read"]

    one = first(at)
    in_source(at, "UPDATE credentials SET password = ? WHERE id = ?", legacy(at, "backup_password"), one)
    assert warned() == (True, 12)
    in_source(at, "UPDATE credentials SET username = 'edited' WHERE id <> ?", one)
    assert warned() == (True, 11)
    in_source(at, "UPDATE credentials SET password = ? WHERE id = ?", legacy(at, "another"), one)
    assert warned() == (True, 1)
    at.sql("UPDATE credstore_sync.verified SET made_at = made_at - interval '25 hours'")
    in_source(at, "UPDATE credentials SET description = 'x' WHERE id = ?", one)
    assert warned() == (False, 12)
