"""The way back: what the new file holds, what it cannot, and that an exchange leaves nothing to be re-synced."""

import base64
import hashlib
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from cryptography.fernet import Fernet

from credstore_pipeline.core.errors import CredstoreError, ProofFailed, Refused, SourceBusy
from credstore_pipeline.core.keys.ring import build_ring
from credstore_pipeline.core.rollback import file, rebase
from credstore_pipeline.core.rollback.export import Wish, rollback_export
from credstore_pipeline_tests.pipeline.flow import content, flow, opened, sealed, source
from credstore_pipeline_tests.window.conftest import end

OLD_KEY = "what the old application reads with"
LONGER = (
    "orm_bare",
    "orm_envelope",
    "hybrid_script_first",
    "hybrid_orm_first",
    "double_encrypted",
    "web",
    "migration_tags",
    "dirty",
)
FLAVOURS = (
    *("setup_plain", "setup_dirty", "key_rotation", "mixed", "web_and_store"),
    *(pytest.param(name, marks=pytest.mark.ci) for name in LONGER),
)


def back(at, form="envelope", key=OLD_KEY, log=None, **wish):
    run = flow(at, rollback_format=form)
    keys = replace(run.deployment.keys, rollback_key=key)
    deployment = replace(run.deployment, keys=keys)
    return rollback_export(deployment, build_ring(keys), run.run_id, Wish(**wish), log or run.log.append)


def rows_of(path, table):
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY rowid")]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_flavour_comes_back_with_equal_meaning_in_every_column(loaded, flavour):
    at = loaded(flavour)
    done = back(at)
    assert done.losses == ()
    credentials = at.sql("SELECT count(*) FROM credentials")[0][0]
    assert done.compared >= credentials
    assert len(rows_of_bytes(done.path)) == len(rows_of_bytes(at.store.path))
    with closing(sqlite3.connect(done.path)) as new, source(at) as old:
        shape = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY 1, 2"
        assert new.execute(shape).fetchall() == old.execute(shape).fetchall()
        assert new.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert done.path.stat().st_mode & 0o777 == 0o600


def test_a_clean_store_comes_back_row_for_row_in_its_order(loaded):
    at = loaded()
    done = back(at)
    passwords = {row["id"]: row["password"] for row in at.store.expected["credentials"]}
    for table in ("tags", "credentials", "credential_tags"):
        new, old = rows_of(done.path, table), rows_of(at.store.path, table)
        for row in new if table == "credentials" else ():
            row["password"] = opened(row["password"], OLD_KEY) if row["password"] else row["password"]
        for row in old if table == "credentials" else ():
            row["password"] = passwords[row["id"]]
        assert new == old


@pytest.mark.parametrize("form", ["envelope", "token", "plaintext"])
def test_passwords_stand_as_the_old_application_reads_them(loaded, form):
    at = loaded()
    fernet = Fernet(base64.urlsafe_b64encode(hashlib.sha256(OLD_KEY.encode()).digest()))
    read = {
        "envelope": lambda text: opened(text, OLD_KEY),
        "token": lambda text: fernet.decrypt(text).decode(),
        "plaintext": str,
    }[form]
    done = back(at, form, confirm_plaintext=form == "plaintext")
    expected = {row["id"]: row["password"] for row in at.store.expected["credentials"]}
    found = {row["id"]: row["password"] for row in rows_of(done.path, "credentials")}
    assert {row_id: read(text) if text else text for row_id, text in found.items()} == expected


def test_no_password_that_stood_in_the_clear_is_left_in_the_new_file(loaded):
    """The file begins as a copy of the old one: deleted rows must not stay on its free pages."""
    at = loaded()
    clear = [row["password"] for row in at.store.expected["credentials"] if row["encoding"] == "plaintext"]
    before = at.store.path.read_bytes()
    assert [text for text in clear if text.encode() not in before] == []
    assert clear
    found = back(at).path.read_bytes()
    assert [text for text in clear if text.encode() in found] == []


def test_plaintext_is_written_by_explicit_confirmation_alone(loaded):
    at = loaded()
    with pytest.raises(Refused, match="confirm_plaintext: true"):
        back(at, "plaintext")
    assert not list(at.snapshots.glob("rollback-*"))


def test_changes_made_since_cutover_come_along_and_quarantined_rows_as_they_were(ended):
    at = ended("dirty")
    before = {row["id"]: row for row in rows_of_bytes(at.store.path)}
    at.sql("UPDATE credentials SET description = 'changed since' WHERE id = (SELECT min(id) FROM credentials)")
    at.sql(
        "INSERT INTO credentials (id, name, username, password, success_count, created_at, updated_at) "
        "VALUES ('made since', 'new', 'new', %s, 7, now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC')",
        sealed("new password"),
    )
    done = back(at)
    with closing(sqlite3.connect(done.path)) as new:
        assert new.execute("SELECT count(*) FROM credentials WHERE description = 'changed since'").fetchone() == (1,)
        made = new.execute("SELECT password, success_count FROM credentials WHERE id = 'made since'").fetchone()
    assert (opened(made[0], OLD_KEY), made[1]) == ("new password", 7)
    after = {row["id"]: row for row in rows_of_bytes(done.path)}
    refused = {row_id for row_id in at.quarantined()["credentials"] if row_id}
    assert refused
    for row_id in refused:
        assert after[row_id.encode()] == before[row_id.encode()]


def rows_of_bytes(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = bytes
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM credentials")]


def test_what_the_setup_scripts_tables_cannot_hold_is_listed_and_refused_unless_named(loaded):
    at = loaded("setup_plain")
    one = "name = (SELECT min(name) FROM credentials)"
    at.sql(f"UPDATE credentials SET use_keys = true, key_file = '/k', password = NULL WHERE {one}")
    with pytest.raises(Refused) as refused:
        back(at)
    for name in ("credentials.use_keys: 1 rows", "credentials.key_file: 1 rows", "credentials.password: 1 rows"):
        assert name in str(refused.value)
    assert not list(at.snapshots.glob("rollback-*"))
    allowed = ("credentials.use_keys", "credentials.key_file", "credentials.password")
    assert {loss.name for loss in back(at, allow_loss=allowed).losses} == set(allowed)
    done = back(at, flavour="orm")
    assert done.losses == ()
    assert rows_of(done.path, "credentials")[0].keys() >= {"use_keys", "key_file", "last_used"}


def test_a_target_that_is_another_than_the_file_is_refused_by_the_proof(loaded, monkeypatch):
    """A writer that loses a value: the file is removed."""
    at = loaded()
    honest = file.sqlite_values

    def lossy(column, **how):
        return ["lost" if value == "made-up credential 3" else value for value in honest(column, **how)]

    monkeypatch.setattr(file, "sqlite_values", lossy)
    with pytest.raises(ProofFailed, match=r"1 rows .* differ in description"):
        back(at)
    assert not list(at.snapshots.glob("rollback-*"))


@pytest.mark.parametrize(
    "flavour",
    ["web", "setup_plain", *(pytest.param(name, marks=pytest.mark.ci) for name in ("dirty", "web_and_store"))],
)
def test_an_exchange_puts_the_file_in_place_and_a_re_sync_then_writes_nothing(ended, flavour):
    at = ended(flavour)
    at.sql("UPDATE credentials SET name = name || ' renamed' WHERE id = (SELECT max(id) FROM credentials)")
    at.sql("DELETE FROM credential_tags WHERE id = (SELECT min(id) FROM credential_tags)")
    at.sql(
        "INSERT INTO credentials (id, name, username, password, use_keys, success_count, failure_count, created_at, "
        "updated_at) VALUES ('since', 'new', 'new', %s, false, 7, 0, '2026-01-01', '2026-01-01')",
        sealed("new password"),
    )
    before = content(at)
    lost = ("credential_tags.created_at",) if flavour == "setup_plain" else ()
    done = back(at, swap=True, allow_loss=lost)
    assert done.path == at.store.path
    assert done.aside.is_file()
    assert at.sql("SELECT count(*) FROM credstore_sync.cutover WHERE cleared_at IS NULL") == [(0,)]
    with source(at) as connection:
        connection.execute("UPDATE credentials SET description = description")
    state = at.state()
    keys = {"further_keys": (OLD_KEY,)}
    flow(at, **keys).load()
    assert at.state() == state
    assert content(at) == before
    assert not flow(at, **keys).red()
    with source(at) as connection:
        connection.execute("UPDATE credentials SET username = 'written by the old one' WHERE id = 'since'")
    flow(at, **keys).load()
    assert content(at)["credentials since"]["username"] == "written by the old one"


def test_an_exchange_without_a_cutover_is_refused(loaded):
    at = loaded()
    with pytest.raises(Refused, match="was not cut over"):
        back(at, swap=True)


@pytest.mark.ci
def test_an_exchange_keeps_the_journal_mode_and_waits_for_nobody_to_have_the_file_open(loaded):
    at = loaded()
    with source(at) as connection:
        connection.execute("PRAGMA journal_mode = wal")
    end(at)
    with closing(sqlite3.connect(at.store.path)) as other:
        other.execute("SELECT count(*) FROM tags").fetchone()
        with pytest.raises(SourceBusy):
            back(at, swap=True)
    assert at.sql("SELECT count(*) FROM credstore_sync.cutover WHERE cleared_at IS NULL") == [(1,)]
    back(at, swap=True)
    with source(at) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        connection.execute("UPDATE tags SET name = name")


def test_what_somebody_wrote_late_is_not_thrown_away_unasked(loaded):
    at = loaded()
    end(at, block_writers=False)
    with source(at) as connection:
        connection.execute("UPDATE tags SET color = '#000000' WHERE rowid = 1")
    with pytest.raises(Refused, match="late_writes: 1 rows"):
        back(at, swap=True)
    assert back(at, swap=True, allow_loss=("late_writes",)).aside.is_file()


def test_an_exchange_that_fails_after_the_rename_puts_the_old_file_back(ended, monkeypatch):
    at = ended()
    before = at.store.path.read_bytes()

    def fail(*_, **__):
        raise ProofFailed("a test", "stopped here")

    monkeypatch.setattr(rebase, "take_snapshot", fail)
    with pytest.raises(CredstoreError):
        back(at, swap=True)
    assert at.store.path.read_bytes() == before
    assert [place.name for place in at.store.path.parent.glob("store.db*")] == ["store.db"]
    assert at.sql("SELECT count(*) FROM credstore_sync.cutover WHERE cleared_at IS NULL") == [(1,)]


def test_an_archived_store_comes_back_to_its_own_name(loaded):
    at = loaded()
    archived = end(at, archive=True).archived_as
    done = back(at, swap=True)
    assert done.path.is_file()
    assert done.aside == archived
    assert archived.is_file()


def test_without_the_old_applications_key_string_nothing_is_sealed(loaded):
    at = loaded()
    run = flow(at)
    keys = replace(run.deployment.keys, rollback_key=None, application_key=None)
    with pytest.raises(Refused, match="CREDSTORE_ROLLBACK_KEY"):
        rollback_export(replace(run.deployment, keys=keys), run.ring, run.run_id, Wish(), run.log.append)
