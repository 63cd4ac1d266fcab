"""The whole flow on stores of every flavour, on a real PostgreSQL; where Dagster has a say, with the real Dagster."""

import base64
import hashlib
import json
import sqlite3

import pytest
from cryptography.fernet import Fernet

from credstore_pipeline_tests.lab import ALLOW_ALL
from credstore_pipeline_tests.pipeline.flow import flow

KEY = "a made-up target key"
FERNET = Fernet(base64.urlsafe_b64encode(hashlib.sha256(KEY.encode()).digest()))
FLAVOURS = [
    "setup_plain",
    "setup_dirty",
    "orm_bare",
    "orm_envelope",
    "hybrid_script_first",
    "hybrid_orm_first",
    "key_rotation",
    "double_encrypted",
    "lost_env",
    "mixed",
    "source_keys",
    "dirty",
    "unkeyed",
    "web_and_store",
    "web",
    "migration_tags",
    "demo",
]
NOTHING_IN_IT = [pytest.param("setup_as_shipped", marks=pytest.mark.ci), "setup_empty"]


def opened(stored):
    """The password in an envelope `default` under the target key; fails on any other form."""
    if not stored:
        return stored
    envelope = json.loads(stored)
    assert list(envelope) == ["key_id", "encrypted_data", "version"]
    assert (envelope["key_id"], envelope["version"]) == ("default", "1.0")
    return FERNET.decrypt(base64.b64decode(envelope["encrypted_data"], validate=True)).decode()


def as_text(row):
    """The id as the target has it: numbers and BLOBs of text are taken as text, other bytes are no id."""
    if "id_hex" in row:
        raw = bytes.fromhex(row["id_hex"])
        return raw.decode() if raw.isascii() and b"\0" not in raw else None
    return None if row["id"] is None else str(row["id"])


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_row_of_every_flavour_is_in_the_target_or_in_quarantine_and_passwords_are_equal(lab, flavour):
    at = lab(flavour)
    run = flow(at, missing_tags="placeholder")
    run.load()
    assert run.red() == {}
    nothing_is_lost_or_garbled(at)
    before, ledger = at.state(), len(at.state("credstore_sync"))
    again = flow(at, missing_tags="placeholder")
    again.load()
    assert again.red() == {}
    assert at.state() == before
    assert len(at.state("credstore_sync")) == ledger + 1
    assert len(list(at.snapshots.iterdir())) == 1


def nothing_is_lost_or_garbled(at):
    loaded = {row_id: opened(stored) for row_id, stored in at.sql("SELECT id, password FROM public.credentials")}
    quarantined = at.quarantined()["credentials"]
    expected = {as_text(row): row for row in at.store.expected["credentials"]}
    assert loaded.keys() <= expected.keys()
    assert not loaded.keys() & quarantined.keys()
    assert {row_id for row_id in expected if row_id is not None} == {*loaded, *quarantined} - {None}
    for row_id, password in loaded.items():
        assert expected[row_id]["recoverable"], row_id
        assert password == expected[row_id]["password"], row_id
    links = at.sql("SELECT count(*) FROM public.credential_tags")[0][0]
    held = at.sql("SELECT count(*) FROM credstore_sync.quarantine WHERE source_table = 'credential_tags'")[0][0]
    assert links + held == len(at.store.expected["associations"])


@pytest.mark.ci
def test_what_the_stages_do_dagster_does_and_a_second_run_leaves_no_trace_but_its_own(lab):
    at = lab("mixed")
    run = at.run(CREDSTORE_MISSING_TAGS="placeholder", **ALLOW_ALL)
    assert run.success, run.failure
    assert all(passed for name, passed in run.checks.items() if name not in ("rows_not_ours", "every_secret_opens"))
    # A report that says "migrated" says nowhere that nothing was written.
    assert "unchanged" not in (at.home / "reports" / run.run_id / "report.md").read_text()
    nothing_is_lost_or_garbled(at)
    before, ledger = at.state(), len(at.state("credstore_sync"))
    again = at.run(CREDSTORE_MISSING_TAGS="placeholder", **ALLOW_ALL)
    assert again.success, again.failure
    assert at.state() == before
    # The run, and what its proofs came to.
    assert len(at.state("credstore_sync")) == ledger + 2
    assert len(list(at.snapshots.iterdir())) == 1
    assert not list((at.home / "staging").iterdir())


@pytest.mark.parametrize("flavour", NOTHING_IN_IT)
def test_a_store_without_credentials_is_a_success_that_says_so(lab, flavour):
    at = lab(flavour)
    run = at.run()
    assert run.success, run.failure
    assert any("nothing to migrate" in line for line in run.log)
    assert at.sql("SELECT count(*) FROM public.credentials") == [(0,)]


@pytest.mark.parametrize("flavour", ["mixed", "dirty"])
def test_rows_that_cannot_be_migrated_stop_the_run_before_the_target_is_touched(lab, flavour):
    at = lab(flavour)
    run = at.run(CREDSTORE_MISSING_TAGS="placeholder")
    assert not run.success
    assert "CREDSTORE_MAX_QUARANTINED" in run.failure
    assert "The target is unchanged" in run.failure
    assert "What to do, by reason:" in run.failure
    assert at.sql("SELECT count(*) FROM pg_tables WHERE schemaname IN ('public', 'credstore_sync')") == [(0,)]
    assert at.report(run)["outcome"] == "refused"


def test_the_newest_applications_store_is_refused_with_what_was_found(lab):
    run = lab("head").run()
    assert not run.success
    assert "newest application's schema" in run.failure
    assert run.checks == {"schema_is_known": False}


def test_preflight_counts_every_encoding_and_writes_nothing(lab):
    at = lab("mixed")
    run = at.run("preflight", **ALLOW_ALL)
    assert run.success, run.failure
    census = run.metadata("preflight/census")
    assert census["rows"] == len(at.store.expected["credentials"])
    assert census["no_key_opens"] > 0
    assert census["wrapped_more_often"] > 0
    encodings = (
        {record.data["encoding"] for record in census["census"].records}
        if hasattr(census["census"], "records")
        else {record.data["encoding"] for record in census["census"]}
    )
    assert encodings == {"null", "empty", "plaintext", "token", "envelope"}
    assert at.sql("SELECT count(*) FROM pg_tables WHERE schemaname IN ('public', 'credstore_sync')") == [(0,)]


def test_preflight_is_red_when_more_passwords_stay_shut_than_may_be_left_behind(lab):
    run = lab("mixed").run("preflight")
    assert not run.success
    assert not run.checks["every_secret_opens"]
    first, *_, last = run.failure.splitlines()
    assert first.startswith("credentials: ")
    assert "may be left behind" in first
    assert first.endswith("The target is unchanged.")
    assert "CREDSTORE_SOURCE_KEYS" in last


def test_verify_proves_the_stored_result_at_any_time_and_writes_its_outcome_alone(lab):
    at = lab("orm_envelope")
    early = at.run("verify")
    assert not early.success
    assert "nothing was loaded yet" in early.failure
    assert at.run(CREDSTORE_MISSING_TAGS="placeholder").success
    before = at.state("credstore_sync"), at.state()
    run = at.run("verify")
    assert run.success, run.failure
    assert run.checks["secrets_match_source"]
    outcomes = "SELECT red FROM credstore_sync.verified WHERE run_id = %s"
    assert at.sql(outcomes, run.run_id) == [([],)]
    assert ([row for row in at.state("credstore_sync") if run.run_id not in str(row)], at.state()) == before


def test_a_key_added_later_takes_the_row_out_of_quarantine(lab):
    at = lab("source_keys")
    keys = at.store.env.pop("source_keys")
    flow(at, missing_tags="placeholder").load()
    assert "undecryptable_secret" in at.quarantined()["credentials"].values()
    second = flow(at, further_keys=tuple(keys), missing_tags="placeholder", max_quarantined=0)
    second.load()
    assert second.red() == {}
    assert at.quarantined()["credentials"] == {}
    resolved = at.sql("SELECT count(*) FROM credstore_sync.quarantine WHERE resolved_at IS NOT NULL")
    assert resolved[0][0] > 0


def test_plaintext_rows_are_refused_when_the_operator_says_so(lab):
    run = lab("setup_plain").run(CREDSTORE_PLAINTEXT="refuse")
    assert not run.success
    assert "plaintext_refused" in run.failure


def test_a_source_that_changed_since_is_taken_and_nothing_else_is_rewritten(lab):
    at = lab("orm_envelope")
    flow(at, missing_tags="placeholder").load()
    before = {row[0]: row for row in at.sql("SELECT id, xmin::text, username FROM public.credentials")}
    changed = sorted(before)[0]
    in_source(at, "UPDATE credentials SET username = 'renamed' WHERE id = ?", changed)
    run = flow(at, missing_tags="placeholder")
    run.load()
    assert run.red() == {}
    after = {row[0]: row for row in at.sql("SELECT id, xmin::text, username FROM public.credentials")}
    assert after.pop(changed)[2] == "renamed"
    assert after == {row_id: row for row_id, row in before.items() if row_id != changed}
    assert len(list(at.snapshots.iterdir())) == 2


def test_the_source_is_never_written_to(lab):
    at = lab("dirty")
    files = sorted(path for path in at.store.folder.iterdir() if path.is_file())
    before = {path: path.read_bytes() for path in files}
    flow(at, missing_tags="placeholder").load()
    assert {path: path.read_bytes() for path in sorted(at.store.folder.iterdir()) if path.is_file()} == before


def in_source(at, statement, *values):
    """Change the source as the application would."""
    source = sqlite3.connect(at.store.path)
    source.execute(statement, values)
    source.commit()
    source.close()


@pytest.mark.parametrize("updated_at", ["2025-03-01 10:00:00.000000", None])
def test_a_repaired_timestamp_keeps_the_first_repairs_value(lab, updated_at):
    at = lab("web")
    in_source(at, "UPDATE credentials SET created_at = NULL, updated_at = ?", updated_at)
    flow(at).load()
    first = at.sql("SELECT id, created_at FROM public.credentials ORDER BY id")
    in_source(at, "UPDATE credentials SET updated_at = '2025-04-02 11:00:00.000000', description = 'edited'")
    again = flow(at)
    again.load()
    assert again.red() == {}
    assert at.sql("SELECT id, created_at FROM public.credentials ORDER BY id") == first
    assert at.sql("SELECT DISTINCT description FROM public.credentials") == [("edited",)]
