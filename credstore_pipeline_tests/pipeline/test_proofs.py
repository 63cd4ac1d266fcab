"""Faults planted after a good load: which final proof turns red, and what none of them calls a fault."""

import shutil
import sqlite3

import pyarrow as pa
import pytest

from credstore_pipeline.core.data_key import unwrap_data_key
from credstore_pipeline.core.errors import CouldNotCheck, SnapshotNotProven
from credstore_pipeline.core.frames import TABLES
from credstore_pipeline.core.load.ledger import open_books
from credstore_pipeline.core.load.meaning import Meaning, as_binary
from credstore_pipeline.core.load.reading import put_table, read_rows
from credstore_pipeline.core.target.connect import make_engine, transaction
from credstore_pipeline_tests.pipeline.flow import already, flow, sealed, source, token

ANOTHER = "a password that stands nowhere in the source"


def faulty(at, statement, *values, agree=True):
    """Change the target after the load; `agree` makes the base say so too, as a load that wrote it would have."""
    at.sql(statement, *values)
    if not agree:
        return
    run = flow(at)
    with transaction(make_engine(at.database, "a test"), "a test", "public") as connection:
        kept = open_books(connection, run.ring).wrapped_data_key
        meaning = Meaning(unwrap_data_key(kept, run.ring).data_key, run.ring)
        for table in TABLES:
            rows = read_rows(connection, "public", table)
            packed, _ = meaning.of_stored(table, rows, only_primary=False)
            put_table(connection, "agreed", pa.table({"id": rows["id"], "fp": as_binary(packed)}), "id text, fp bytea")
            connection.exec_driver_sql(
                "UPDATE credstore_sync.row_state s SET source_fp = a.fp FROM pg_temp.agreed a "
                f"WHERE s.source_table = '{table}' AND s.row_id = a.id"
            )


def ids(at, table="credentials"):
    return sorted(row[0] for row in at.sql(f"SELECT id FROM public.{table}"))


@pytest.fixture
def loaded(administrator, database, tmp_path):
    """A lab after a good load."""

    def load(at):
        flow(at).load()
        assert not flow(at).red()

    return already("loaded", "web", load, administrator, database, tmp_path)


def test_another_password_turns_secrets_match_source_red(loaded):
    wrong = ids(loaded)[3]
    faulty(loaded, "UPDATE public.credentials SET password = %s WHERE id = %s", sealed(ANOTHER), wrong)
    red = flow(loaded).red()
    assert red.keys() == {"secrets_match_source"}
    assert f"1 passwords are others than the source's (id {wrong})" in red["secrets_match_source"]


def test_two_swapped_passwords_turn_secrets_match_source_red_for_both(loaded):
    first, second, *_ = ids(loaded)
    swap = (
        "UPDATE public.credentials a SET password = b.password FROM public.credentials b "
        "WHERE (a.id, b.id) IN ((%s, %s), (%s, %s))"
    )
    faulty(loaded, swap, first, second, second, first)
    assert f"(id {first}, {second})" in flow(loaded).red()["secrets_match_source"]


def test_what_the_application_changed_since_is_counted_and_red_nowhere(loaded):
    first, second, third, *_ = ids(loaded)
    statement = "UPDATE public.credentials SET password = %s, success_count = success_count + 1 WHERE id = %s"
    faulty(loaded, statement, sealed(ANOTHER), first, agree=False)
    faulty(loaded, statement, ANOTHER, second, agree=False)
    faulty(loaded, "DELETE FROM public.credentials WHERE id = %s", third, agree=False)
    faulty(loaded, "UPDATE public.credential_tags SET priority = random()", agree=False)
    verdicts = flow(loaded).prove()
    assert all(verdict.passed for verdict in verdicts.values())
    assert verdicts["secrets_match_source"].numbers["changed_in_target_since"] == 2
    assert verdicts["no_plaintext_at_rest"].numbers["the_applications_own_plaintext"] == 1
    assert verdicts["row_counts_match"].numbers["credentials_deleted_in_target_since"] == 1
    assert verdicts["selection_order_matches"].numbers["changed_in_target_since"] > 0


@pytest.mark.parametrize("agree", [True, False])
def test_our_password_in_the_clear_turns_no_plaintext_at_rest_red(loaded, agree):
    wrong = loaded.store.expected["credentials"][0]
    statement = "UPDATE public.credentials SET password = %s WHERE id = %s"
    faulty(loaded, statement, wrong["password"], wrong["id"], agree=agree)
    red = flow(loaded).red()
    assert red.keys() == {"no_plaintext_at_rest", "application_can_read"}
    assert f"1 passwords stand in the clear (id {wrong['id']})" in red["no_plaintext_at_rest"]


def test_a_password_under_a_key_that_nobody_has_turns_secrets_match_source_red(loaded):
    wrong = loaded.store.expected["credentials"][0]
    statement = "UPDATE public.credentials SET password = %s WHERE id = %s"
    faulty(loaded, statement, sealed(wrong["password"], "somebody else's key"), wrong["id"], agree=False)
    assert f"no key opens 1 passwords of the target (id {wrong['id']})" in flow(loaded).red()["secrets_match_source"]


@pytest.mark.parametrize("form", ["under a source key", "bare token", "wrapped twice"])
def test_a_password_in_another_form_than_the_applications_turns_application_can_read_red(loaded, form):
    wrong = loaded.store.expected["credentials"][0]
    stored = {
        "under a source key": sealed(wrong["password"], loaded.store.env["encryption_key"]),
        "bare token": token(wrong["password"]),
        "wrapped twice": sealed(sealed(wrong["password"])),
    }[form]
    faulty(loaded, "UPDATE public.credentials SET password = %s WHERE id = %s", stored, wrong["id"], agree=False)
    red = flow(loaded).red()
    assert red.keys() == {"application_can_read"}
    assert f"cannot read 1 rows (id {wrong['id']})" in red["application_can_read"]


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("credentials", ["use_keys", "success_count", "failure_count", "created_at", "updated_at"]),
        ("credential_tags", ["priority", "success_count", "failure_count", "created_at", "updated_at"]),
    ],
)
def test_a_null_that_the_applications_reader_fails_on_turns_application_can_read_red(loaded, table, columns):
    wrong = ids(loaded, table)[: len(columns)]
    for column, row_id in zip(columns, wrong, strict=True):
        loaded.sql(f"UPDATE public.{table} SET {column} = NULL WHERE id = %s", row_id)
    faulty(loaded, f"UPDATE public.{table} SET last_used = NULL")
    text = flow(loaded).red()["application_can_read"]
    assert text.startswith(f"{table}: the application cannot read {len(columns)} rows")
    assert all(row_id in text for row_id in wrong)


@pytest.mark.parametrize(("parent", "column"), [("credentials", "credential_id"), ("tags", "tag_id")])
def test_an_association_that_points_nowhere_turns_no_orphans_red(loaded, parent, column):
    wrong = ids(loaded, "credential_tags")[5]
    loaded.sql(f"ALTER TABLE public.credential_tags DROP CONSTRAINT credential_tags_{column}_fkey")
    faulty(loaded, f"UPDATE public.credential_tags SET {column} = 'nowhere' WHERE id = %s", wrong)
    assert flow(loaded).red()["no_orphans"] == f"1 associations without their {parent} (id {wrong})"


@pytest.mark.parametrize(
    "change",
    [
        "priority = 0.5 WHERE id = (SELECT min(id) FROM public.credential_tags WHERE tag_id = %s AND priority = 0)",
        "priority = -priority WHERE tag_id = %s",
        "priority = 0 WHERE tag_id = %s",
    ],
    ids=["tie broken", "reversed", "tied"],
)
def test_another_order_turns_selection_order_matches_red(loaded, change):
    tag = loaded.store.expected["tags"][0]["id"]
    faulty(loaded, f"UPDATE public.credential_tags SET {change}", tag)
    red = flow(loaded).red()
    assert red.keys() == {"selection_order_matches"}
    assert f"1 tags come in another order (tag id {tag})" in red["selection_order_matches"]


def test_other_priorities_in_the_same_order_are_no_other_order(loaded):
    faulty(loaded, "UPDATE public.credential_tags SET priority = 3 * priority - 1")
    assert not flow(loaded).red()


@pytest.mark.parametrize(("column", "table"), [("credential_id", "credentials"), ("tag_id", "tags")])
def test_an_association_moved_to_another_parent_turns_selection_order_matches_red(loaded, column, table):
    wrong, other = loaded.sql(
        f"SELECT l.id, min(p.id) FROM public.credential_tags l JOIN public.{table} p ON p.id <> l.{column} "
        "GROUP BY l.id ORDER BY l.id LIMIT 1"
    )[0]
    faulty(loaded, f"UPDATE public.credential_tags SET {column} = %s WHERE id = %s", other, wrong)
    assert "selection_order_matches" in flow(loaded).red()


@pytest.mark.parametrize("table", TABLES)
def test_a_row_missing_from_the_base_turns_row_counts_match_red(loaded, table):
    lost = ids(loaded, table)[0]
    faulty(
        loaded, "DELETE FROM credstore_sync.row_state WHERE source_table = %s AND row_id = %s", table, lost, agree=False
    )
    assert f"{table}: 1 rows lost: neither loaded nor quarantined (id {lost})" in flow(loaded).red()["row_counts_match"]


@pytest.mark.parametrize(
    "loss",
    [
        "DELETE FROM credstore_sync.quarantine WHERE source_table = 'credentials'",
        "UPDATE credstore_sync.quarantine SET resolved_at = now() WHERE source_table = 'credentials'",
    ],
    ids=["removed", "resolved"],
)
def test_a_quarantined_row_that_is_no_longer_held_turns_row_counts_match_red(lab, loss):
    at = lab("lost_env")
    flow(at, missing_tags="placeholder").load()
    assert not flow(at).red()
    at.sql(loss)
    assert "credentials: 3 rows lost" in flow(at).red()["row_counts_match"]


def test_a_row_that_was_loaded_and_is_refused_since_turns_nothing_red(loaded):
    """The target keeps what it has of the row, and quarantine holds what the source has now."""
    at = loaded
    changed = ids(at)[0]
    with source(at) as store:
        store.execute("UPDATE credentials SET password = ? WHERE id = ?", (token("lost", "a key nobody has"), changed))
    flow(at).load()
    assert at.quarantined()["credentials"] == {changed: "undecryptable_secret"}
    assert not flow(at).red()


@pytest.mark.parametrize("part", ["folder", "store.db", "manifest.json"])
def test_without_its_snapshot_nothing_is_proven(loaded, part):
    (snapshot,) = loaded.snapshots.iterdir()
    shutil.rmtree(snapshot) if part == "folder" else (snapshot / part).unlink()
    with pytest.raises(CouldNotCheck):
        flow(loaded).prove()


@pytest.mark.parametrize("part", ["a row", "a manifest"])
def test_with_an_altered_snapshot_nothing_is_proven(loaded, part):
    (snapshot,) = loaded.snapshots.iterdir()
    if part == "a row":
        with sqlite3.connect(snapshot / "store.db") as store:
            store.execute("UPDATE credentials SET username = 'somebody' WHERE rowid = 1")
        store.close()
    else:
        manifest = snapshot / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"credentials": 12', '"credentials": 11', 1))
    with pytest.raises(SnapshotNotProven):
        flow(loaded).prove()


def test_passwords_that_no_key_opens_in_the_snapshot_any_more_are_not_called_equal(lab):
    """Found green: with the source's keys gone there was nothing to compare, and so nothing differed."""
    at = lab("source_keys")
    flow(at).load()
    del at.store.env["source_keys"]
    assert "secrets_match_source" in flow(at).red()


def test_a_red_proof_and_a_proof_that_could_not_be_made_are_failed_runs(loaded):
    wrong = ids(loaded)[0]
    faulty(loaded, "UPDATE public.credentials SET password = %s WHERE id = %s", sealed(ANOTHER), wrong)
    run = loaded.run("verify")
    assert not run.success
    assert [name for name, passed in run.checks.items() if not passed] == ["secrets_match_source"]
    assert loaded.sql("SELECT red FROM credstore_sync.verified WHERE run_id = %s", run.run_id) == [
        (["secrets_match_source"],)
    ]
    # Where, what, in which state, what next: not the name of a check and Dagster's stack.
    assert run.failure.startswith("proofs: 1 do not hold. What was loaded stands as it is")
    assert "  secrets_match_source: " in run.failure
    assert loaded.report(run)["outcome"] == "failed"
    shutil.rmtree(loaded.snapshots)
    run = loaded.run("verify")
    assert not run.success
    assert "secrets_match_source" not in run.checks
    assert "snapshot" in run.failure
