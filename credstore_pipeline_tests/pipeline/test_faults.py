"""Faults planted into the load: what is tried again, what is not, and what rolls everything back."""

import threading
from functools import partial

import pyarrow as pa
import pytest

from credstore_pipeline.core.errors import (
    ProofFailed,
    ShapeRefused,
    TargetError,
    TargetKeyChanged,
    TransientTargetError,
)
from credstore_pipeline.core.frames import TABLES
from credstore_pipeline.core.load import transaction as load_transaction
from credstore_pipeline.core.load.columns import SCHEMAS
from credstore_pipeline.core.target.retry import retrying
from credstore_pipeline_tests.core.target.ddl import F7B7109, W5FF43A7
from credstore_pipeline_tests.pipeline.flow import already, content, flow, in_source, sealed, session, source, token
from credstore_pipeline_tests.pipeline.launcher import start
from credstore_pipeline_tests.waiting import await_true, waiting_for_locks


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    """Try again at once."""
    monkeypatch.setattr(load_transaction, "retrying", partial(retrying, sleep=lambda seconds: None))


@pytest.fixture
def loaded(administrator, database, tmp_path):
    """A lab after a good load."""

    def load(at):
        flow(at).load()
        assert not flow(at).red()

    return already("loaded", "web", load, administrator, database, tmp_path)


def tables_of_the_application(at, ddl=W5FF43A7):
    at.sql(ddl.replace("{schema}", "public"))


def trigger(at, action, *, table="credential_tags", when="BEFORE", only_first_time=False):
    """Let the target do something as soon as the load inserts into a table; counts the tries."""
    condition = "= 1" if only_first_time else "> 0"
    at.sql("CREATE SEQUENCE IF NOT EXISTS public.tries")
    at.sql(
        "CREATE OR REPLACE FUNCTION public.disturb() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF nextval('public.tries') {condition} THEN {action} END IF; RETURN NULL; END $$"
    )
    at.sql(
        f"CREATE OR REPLACE TRIGGER disturb {when} INSERT ON public.{table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION public.disturb()"
    )


def tries(at):
    return at.sql("SELECT last_value FROM public.tries")[0][0]


def nothing_of_ours(at):
    rows = sum(at.sql(f"SELECT count(*) FROM public.{table}")[0][0] for table in TABLES)
    return rows == 0 and at.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'credstore_sync'") == [(0,)]


# What is tried again


@pytest.mark.parametrize(
    "action",
    [
        "RAISE EXCEPTION USING ERRCODE = '40P01';",
        "RAISE EXCEPTION USING ERRCODE = '40001';",
        "PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5);",
    ],
    ids=["deadlock", "serialization failure", "lost connection"],
)
def test_a_failure_that_may_pass_is_tried_again_and_the_result_is_the_same(lab, action):
    at = lab("web")
    tables_of_the_application(at)
    trigger(at, action, only_first_time=True)
    run = flow(at)
    loaded = run.load()
    assert run.tried_again
    assert tries(at) == 2
    assert loaded.kind == "initial"
    assert content(at) == in_source(at)
    assert at.sql("SELECT run_id FROM credstore_sync.runs") == [(run.run_id,)]
    assert not run.red()


def test_a_real_deadlock_with_the_application_ends_well_for_both(loaded):
    at = loaded
    with source(at) as store:
        store.execute("UPDATE credentials SET username = 'renamed'")
    at.sql(f"ALTER DATABASE {at.database.url.database} SET deadlock_timeout = '50ms'")
    first, middle, *_, last = sorted(row[0] for row in at.sql("SELECT id FROM public.credentials"))
    run = flow(at)
    cargo = run.cargo()
    held = "SELECT 1 FROM public.credentials WHERE id = %s FOR UPDATE"
    change = ("UPDATE public.credentials SET key_file = '/a' WHERE id = %s", (first,))
    with session(at.database) as gate, session(at.database) as application:
        application.exec_driver_sql("SET LOCAL deadlock_timeout = '600s'")
        pid = application.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        application.exec_driver_sql(held, (last,))
        gate.exec_driver_sql(held, (middle,))
        load = threading.Thread(target=run.load, args=(cargo,))
        update = threading.Thread(target=application.exec_driver_sql, args=change)
        load.start()
        try:
            # The load has the first row and waits for the middle one; the application waits for the first.
            await_true(lambda: f"credstore {run.run_id}" in waiting_for_locks(at.sql).values())
            update.start()
            await_true(lambda: pid in waiting_for_locks(at.sql))
        finally:
            # The load goes on to the last row. It begins to wait last: it is the one to notice, and to give way.
            gate.get_transaction().commit()
            if update.ident:
                update.join()
            application.get_transaction().commit()
            load.join()
    assert run.tried_again
    assert any("40P01" in line for line in run.log)
    assert at.sql("SELECT DISTINCT username FROM public.credentials") == [("renamed",)]
    assert at.sql("SELECT id FROM public.credentials WHERE key_file = '/a'") == [(first,)]


def test_what_never_gets_better_is_given_up_after_some_tries_and_changes_nothing(lab):
    at = lab("web")
    tables_of_the_application(at)
    trigger(at, "RAISE EXCEPTION USING ERRCODE = '40001';")
    with pytest.raises(TransientTargetError, match="40001"):
        flow(at).load()
    assert tries(at) == 5
    assert nothing_of_ours(at)


# What is not


def test_a_row_that_the_target_refuses_is_not_tried_again_and_its_values_are_not_told(lab):
    at = lab("web")
    tables_of_the_application(at)
    trigger(at, "NULL;", table="credentials")
    at.sql("ALTER TABLE public.credentials ADD CONSTRAINT no_operator3 CHECK (username <> 'operator3')")
    run = flow(at)
    with pytest.raises(TargetError, match=r"23514 check_violation.*table credentials.*constraint no_operator3") as told:
        run.load()
    assert tries(at) == 1
    assert not run.tried_again
    assert "operator3'" not in str(told.value)
    assert nothing_of_ours(at)


def test_a_key_that_changed_between_the_stages_is_not_tried_again(loaded):
    at = loaded
    run = flow(at)
    cargo = run.cargo()
    at.sql("UPDATE credstore_sync.data_key SET wrapped = set_byte(wrapped, 19, get_byte(wrapped, 19) # 255)")
    before = at.state(), at.state("credstore_sync")
    with pytest.raises(TargetKeyChanged):
        run.load(cargo)
    assert not run.tried_again
    assert (at.state(), at.state("credstore_sync")) == before


def test_a_shape_that_changed_between_the_stages_is_not_tried_again(lab):
    at = lab("web")
    tables_of_the_application(at)
    run = flow(at)
    cargo = run.cargo()
    at.sql("ALTER TABLE public.credentials DROP COLUMN use_keys")
    with pytest.raises(ShapeRefused, match="use_keys"):
        run.load(cargo)
    assert not run.tried_again
    assert nothing_of_ours(at)


# What was written is read back before the commit

OTHER_VALUE = {
    pa.string(): "left(coalesce({0}, ''), 6) || 'x'",
    pa.bool_(): "NOT coalesce({0}, false)",
    pa.int64(): "{0} + 1",
    pa.float64(): "{0} + 1e-9",
    pa.timestamp("us"): "coalesce({0}, 'epoch') + interval '1 microsecond'",
}


@pytest.mark.parametrize("table", TABLES)
def test_an_altered_value_in_any_column_is_named_and_rolls_everything_back(lab, table):
    at = lab("web")
    tables_of_the_application(at)
    columns = [column for column in SCHEMAS[table] if column.name not in ("id", "password")]
    altered = ", ".join(f"{column.name} = {OTHER_VALUE[column.type].format(column.name)}" for column in columns)
    # No foreign key is to notice before we do.
    change = "SET LOCAL session_replication_role = replica; "
    change += f"UPDATE public.{table} SET {altered} WHERE id = (SELECT min(id) FROM public.{table});"
    trigger(at, change, table=table, when="AFTER")
    run = flow(at)
    named = ", ".join(column.name for column in columns)
    with pytest.raises(ProofFailed, match=rf"public\.{table}: 1 rows \(id .*\) differ in {named}\. .*rolled back"):
        run.load()
    assert tries(at) == 1
    assert not run.tried_again
    assert nothing_of_ours(at)


@pytest.mark.parametrize(
    ("other", "wrong"),
    [
        (
            # A row's password swapped for another's.
            "(SELECT password FROM public.credentials WHERE password IS NOT NULL ORDER BY id DESC LIMIT 1)",
            "differ in password",
        ),
        ("'in the clear'", "do not open under the primary Fernet key"),
        ("'{}'".format(sealed("anything", "another key")), "do not open under the primary Fernet key"),
        ("'{}'".format(token("anything")), "do not open under the primary Fernet key"),
        ("NULL", "differ in password"),
    ],
    ids=["another row's", "plaintext", "another key's", "a bare token", "NULL"],
)
def test_a_password_altered_on_its_way_rolls_everything_back(lab, other, wrong):
    at = lab("web")
    tables_of_the_application(at)
    change = f"UPDATE public.credentials SET password = {other} WHERE id = (SELECT min(id) FROM public.credentials);"
    trigger(at, change, table="credentials", when="AFTER")
    with pytest.raises(ProofFailed, match=wrong):
        flow(at).load()
    assert nothing_of_ours(at)


@pytest.mark.parametrize("table", TABLES)
def test_a_row_that_vanished_on_its_way_rolls_everything_back(lab, table):
    at = lab("web")
    tables_of_the_application(at)
    trigger(at, f"DELETE FROM public.{table} WHERE id = (SELECT min(id) FROM public.{table});", when="AFTER")
    with pytest.raises(ProofFailed, match="rows were written"):
        flow(at).load()
    assert nothing_of_ours(at)


def test_an_association_whose_tag_vanished_on_the_way_rolls_everything_back(lab):
    """The tag is the application's, and f7b7109 has no foreign key that would notice."""
    at = lab("web")
    tables_of_the_application(at, F7B7109)
    at.sql("INSERT INTO public.tags (id, name) VALUES ('theirs', 'Routers')")
    trigger(at, "DELETE FROM public.tags WHERE id = 'theirs';", when="AFTER")
    with pytest.raises(ProofFailed, match="point to tags that do not exist"):
        flow(at).load()
    assert at.sql("SELECT id FROM public.tags") == [("theirs",)]
    assert at.sql("SELECT count(*) FROM public.credentials") == [(0,)]


def test_what_happens_to_tables_that_the_load_makes_itself_is_noticed_too(lab):
    at = lab("web")
    at.sql(
        "CREATE FUNCTION public.disturb() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF to_regclass('public.credentials') IS NULL THEN RETURN; END IF; "
        "UPDATE public.credentials SET failure_count = failure_count + 1 "
        "WHERE id = (SELECT max(id) FROM public.credentials); END $$"
    )
    at.sql(
        "CREATE EVENT TRIGGER disturb ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION public.disturb()"
    )
    with pytest.raises(ProofFailed, match=r"differ in failure_count"):
        flow(at).load()
    assert at.sql("SELECT count(*) FROM pg_tables WHERE schemaname IN ('public', 'credstore_sync')") == [(0,)]


def test_a_failed_proof_in_the_load_is_a_non_zero_exit_and_a_report(lab):
    at = lab("web")
    tables_of_the_application(at)
    trigger(at, "UPDATE public.credentials SET success_count = success_count + 1;", table="credentials", when="AFTER")
    command = start(at)
    assert command.wait() == 1
    assert "differ in success_count" in command.text
    assert "The transaction is rolled back; the target is as it was." in command.text
    assert nothing_of_ours(at)
    (report,) = (at.home / "reports").glob("*/report.md")
    assert "Migration report: refused" in report.read_text()
