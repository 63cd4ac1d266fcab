"""What an operator sets about the target: its schema, its role, a wider column, another key."""

from functools import partial

import pytest

from credstore_pipeline.core.deployment import Target
from credstore_pipeline.core.errors import TargetError, TargetKeyChanged
from credstore_pipeline.core.frames import TABLES
from credstore_pipeline.core.load import transaction as load_transaction
from credstore_pipeline.core.target.tables import widen_password
from credstore_pipeline_tests.core.target.ddl import W5FF43A7
from credstore_pipeline_tests.pipeline.flow import (
    TARGET_KEY,
    born,
    catalog,
    content,
    flow,
    in_source,
    rows_by_id,
    sealed,
    session,
    source,
)

# Another schema


@pytest.mark.parametrize(
    ("schema", "there"), [("netraven", True), ('Net "raven"', False)], ids=["with the application's tables", "without"]
)
def test_another_schema_than_public_is_written_to_and_public_is_left_alone(lab, schema, there):
    at = lab("web")
    born(at, W5FF43A7)  # a decoy: the same tables where nobody may write
    if there:
        quoted = schema.replace('"', '""')
        at.sql(f'CREATE SCHEMA "{quoted}"')
        at.sql(W5FF43A7.replace("{schema}", f'"{quoted}"'))
    before = at.state()
    run = flow(at, target=Target(at.database.url, schema))
    run.load()
    assert at.state() == before
    assert content(at, schema=schema.replace('"', '""')) == in_source(at)
    assert not run.red()
    again = flow(at, target=Target(at.database.url, schema))
    counts = again.load().counts
    assert not any(counts[table][what] for table in TABLES for what in ("inserted", "updated"))
    assert not again.red()


# Rights


def granted(at, role, *rights):
    for right in rights:
        at.sql(f"GRANT {right} TO {role.url.username}")


def test_a_role_without_rights_is_told_which_and_nothing_is_changed(lab, login):
    at = lab("web")
    born(at, W5FF43A7)
    role = login()
    before = at.state(), catalog(at)
    with pytest.raises(TargetError) as told:
        flow(at, target=role).cargo()
    for right in ("CREATE on the database, to make the schema credstore_sync", "SELECT on public.credentials"):
        assert right in str(told.value)
    granted(at, role, f"CREATE, TEMPORARY ON DATABASE {at.database.url.database}", "USAGE ON SCHEMA public")
    granted(at, role, "SELECT, INSERT ON ALL TABLES IN SCHEMA public")
    with pytest.raises(TargetError, match=r"rights are missing: UPDATE on public\.") as told:
        flow(at, target=role).cargo()
    assert "INSERT" not in str(told.value)
    assert (at.state(), catalog(at)) == before
    granted(at, role, "UPDATE ON ALL TABLES IN SCHEMA public")
    run = flow(at, target=role)
    run.load()
    assert content(at) == in_source(at)
    assert not run.red()
    assert catalog(at) == before[1]


def test_another_role_that_may_not_see_the_pipelines_books_is_told_which_right_it_lacks(lab, login):
    """Found saying 'grant the right named' without naming one: the books are read before rights are asked for."""
    at = lab("web")
    flow(at).load()
    role = login()
    granted(at, role, "USAGE ON SCHEMA public", "SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public")
    before = at.state(), at.state("credstore_sync")
    for doing in ("snapshot", "prove"):
        with pytest.raises(TargetError, match="credstore_sync"):
            getattr(flow(at, target=role), doing)()
    assert (at.state(), at.state("credstore_sync")) == before


def test_a_right_taken_away_between_the_stages_is_an_error_that_names_the_table_and_nothing_is_changed(lab, login):
    at = lab("web")
    born(at, W5FF43A7)
    role = login()
    granted(at, role, f"CREATE, TEMPORARY ON DATABASE {at.database.url.database}", "USAGE ON SCHEMA public")
    granted(at, role, "SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public")
    run = flow(at, target=role)
    cargo = run.cargo()
    at.sql(f"REVOKE INSERT ON public.credential_tags FROM {role.url.username}")
    before = at.state()
    with pytest.raises(TargetError, match="42501") as told:
        run.load(cargo)
    assert not run.tried_again
    assert "The target is unchanged." in str(told.value)
    assert at.state() == before
    assert at.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'credstore_sync'") == [(0,)]


# The one ALTER that an operator may ask for


def long_password(at):
    with source(at) as store:
        store.execute("UPDATE credentials SET password = ? WHERE rowid = 1", ("w" * 480,))
    at.store.expected["credentials"][0]["password"] = "w" * 480


def test_widening_waits_a_little_for_an_idle_reader_then_names_it_and_changes_nothing(lab, monkeypatch):
    monkeypatch.setattr(
        load_transaction, "widen_password", partial(widen_password, lock_max_s=0.1, sleep=lambda seconds: None)
    )
    at = lab("web")
    born(at, W5FF43A7)
    long_password(at)
    before = catalog(at)
    with session(at.database) as reader:
        reader.exec_driver_sql("SELECT count(*) FROM public.credentials")
        pid = reader.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        run = flow(at, password_column="widen")
        with pytest.raises(TargetError, match=rf"in use at each of 3 tries: another program \(pid {pid},"):
            run.load()
        # Nothing waits any longer that would keep later readers waiting.
        waiting = (
            "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
            "WHERE NOT l.granted AND d.datname = current_database()"
        )
        assert at.sql(waiting) == [(0,)]
    assert catalog(at) == before
    assert at.sql("SELECT count(*) FROM public.credentials") == [(0,)]
    run = flow(at, password_column="widen")
    run.load()
    assert content(at) == in_source(at)
    assert not run.red()
    changed = set(catalog(at)) - set(before)
    assert changed == {("credentials", "password", "textfalse")}


def test_without_need_nothing_is_widened(lab):
    at = lab("web")
    born(at, W5FF43A7)
    before = catalog(at)
    flow(at, password_column="widen").load()
    assert catalog(at) == before


# Another target key

NEW_KEY = "the next target key"


@pytest.mark.ci
def test_another_target_key_without_the_former_one_is_refused_by_every_job(lab):
    at = lab("web")
    flow(at).load()
    before = at.state(), at.state("credstore_sync")
    for job in ("migrate", "preflight", "verify"):
        run = at.run(job, CREDSTORE_TARGET_KEY=NEW_KEY)
        assert not run.success
        assert "the target was sealed under another target key" in run.failure
        assert "CREDSTORE_SOURCE_KEYS" in run.failure
    assert (at.state(), at.state("credstore_sync")) == before
    assert not flow(at).red()


def test_another_target_key_with_the_former_one_seals_every_password_and_the_data_key_anew(lab):
    at = lab("hybrid_orm_first")
    flow(at).load()
    changed = at.store.expected["credentials"][0]["id"]
    at.sql("UPDATE public.credentials SET password = %s WHERE id = %s", sealed("changed by them"), changed)
    before = content(at)
    rows = {table: rows_by_id(at, table) for table in TABLES}
    base = at.state("credstore_sync")
    run = flow(at, target_key=NEW_KEY, further_keys=(TARGET_KEY,))
    counts = run.load().counts
    sealed_rows = at.sql("SELECT count(*) FROM public.credentials WHERE password <> ''")[0][0]
    assert counts["credentials"]["resealed"] == sealed_rows
    assert content(at, NEW_KEY) == before
    for table in ("tags", "credential_tags"):
        assert rows_by_id(at, table) == rows[table]
    assert [row for row in at.state("credstore_sync") if row[0] == "row_state"] == [
        row for row in base if row[0] == "row_state"
    ]
    assert not run.red()
    # The former key is not needed any more, and does not suffice.
    alone = flow(at, target_key=NEW_KEY)
    assert not alone.red()
    counts = alone.load().counts
    assert not any(counts[table][what] for table in TABLES for what in ("inserted", "updated"))
    with pytest.raises(TargetKeyChanged):
        flow(at).snapshot()


def test_a_source_row_that_changed_along_with_the_target_key_is_updated_in_the_same_load(lab):
    at = lab("web")
    flow(at).load()
    changed = at.store.expected["credentials"][3]  # in the clear
    with source(at) as store:
        store.execute("UPDATE credentials SET password = 'changed since' WHERE id = ?", (changed["id"],))
    changed["password"] = "changed since"
    run = flow(at, target_key=NEW_KEY, further_keys=(TARGET_KEY,))
    run.load()
    assert content(at, NEW_KEY) == in_source(at)
    assert not run.red()
