"""Two runs at once: one wins, the other ends without harm, and no older snapshot overwrites a newer load."""

import threading

import dagster as dg
import pytest

from credstore_pipeline.core import taking
from credstore_pipeline.core.errors import LoadLocked, Superseded, TargetError
from credstore_pipeline.core.taking import take
from credstore_pipeline_tests.core.target.ddl import W5FF43A7
from credstore_pipeline_tests.pipeline.flow import content, flow, in_source, session, source
from credstore_pipeline_tests.pipeline.launcher import start
from credstore_pipeline_tests.waiting import await_true, waiting_for_locks


@pytest.fixture
def at(lab):
    """A lab whose target has the application's tables, so that a lock on one of them can stop a load half way."""
    made = lab("web")
    made.sql(W5FF43A7.replace("{schema}", "public"))
    return made


def rename(at, name):
    with source(at) as store:
        store.execute("UPDATE credentials SET username = ? WHERE rowid = 1", (name,))


def runs(at):
    return [row[0] for row in at.sql("SELECT run_id FROM credstore_sync.runs ORDER BY finished_at")]


def stop_loads_half_way(connection):
    """Tags and credentials can be written, associations cannot, until the connection's transaction ends."""
    connection.exec_driver_sql("LOCK TABLE public.credential_tags IN SHARE MODE")


def await_blocked(at, count=1):
    """Wait until so many loads wait for a lock, and return their run ids."""
    blocked = []

    def found():
        names = waiting_for_locks(at.sql).values()
        blocked[:] = [name.removeprefix("credstore ") for name in names if name.startswith("credstore ")]
        return len(blocked) >= count

    await_true(found)
    return blocked


@pytest.mark.ci
def test_of_two_command_lines_at_once_one_wins_and_the_other_ends_without_harm(at):
    # Two programs that set up one new DAGSTER_HOME at once are Dagster's own trouble.
    at.environment()
    with dg.DagsterInstance.from_config(str(at.home)) as instance:
        assert instance.get_runs_count() == 0
        assert instance.get_asset_records() == []
        assert instance.all_instigator_state() == []
    both = [start(at, CREDSTORE_LOCK_WAIT_S="60") for _ in range(2)]
    codes = sorted(command.wait() for command in both)
    assert codes[0] == 0, [command.text[-2000:] for command in both]
    assert len(runs(at)) == codes.count(0)
    for command in both:
        if command.code:
            assert "superseded" in command.text or "Launch the job again" in command.text
    assert content(at) == in_source(at)
    run = flow(at)
    assert not run.red()
    before = at.state()
    run.load()
    assert at.state() == before
    assert not list(at.snapshots.glob("*.partial"))


@pytest.mark.ci
def test_the_second_names_the_first_while_it_runs_and_the_first_is_not_disturbed(at):
    with session(at.database) as application:
        stop_loads_half_way(application)
        first = start(at)
        (holder,) = await_blocked(at)
        second = start(at, CREDSTORE_LOCK_WAIT_S="0.3")
        assert second.wait() == 1
        assert "another load has been running: run " + holder in second.text
        assert "The target is unchanged." in second.text
        # Readers go on while the load stands still.
        assert at.sql("SELECT count(*) FROM public.credentials") == [(0,)]
    assert first.wait() == 0
    assert runs(at) == [holder]
    assert content(at) == in_source(at)
    assert not flow(at).red()


def waiting_load(at, run, cargo):
    """Start a load that has to wait for another one's lock; gives its errors once it is joined."""
    errors = []

    def work():
        try:
            run.load(cargo)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, errors


def test_a_second_run_that_waited_takes_what_changed_and_writes_nothing_else(at):
    flow(at).load()
    rename(at, "first")
    first = flow(at, lock_wait_s=30)
    first_cargo = first.cargo()
    with session(at.database) as application:
        application.exec_driver_sql("SELECT 1 FROM public.credentials FOR UPDATE")
        one, errors = waiting_load(at, first, first_cargo)
        await_blocked(at)
        second = flow(at, lock_wait_s=30)
        two, more_errors = waiting_load(at, second, second.cargo())
    one.join()
    two.join()
    assert errors == more_errors == []
    assert runs(at)[1:] == [first.run_id, second.run_id]
    assert content(at) == in_source(at)
    assert not any(line for line in second.log if "updated" in line or "inserted" in line)


def test_two_first_loads_at_once_never_mix_their_data_keys(at):
    first, second = flow(at, lock_wait_s=30), flow(at, lock_wait_s=30)
    early, late = first.cargo(), second.cargo()
    assert early.data_key != late.data_key
    first.load(early)
    before = at.state(), at.state("credstore_sync")
    with pytest.raises(TargetError, match="another run made the first load meanwhile"):
        second.load(late)
    assert (at.state(), at.state("credstore_sync")) == before
    assert not first.red()
    second.load()
    assert content(at) == in_source(at)


@pytest.mark.parametrize("first_load", [True, False])
def test_an_older_snapshot_never_overwrites_a_newer_load(at, first_load):
    if not first_load:
        flow(at).load()
        rename(at, "in between")
    older = flow(at)
    snapshot = older.snapshot()
    rename(at, "newest")
    newer = flow(at)
    newer.load()
    before = at.state(), at.state("credstore_sync")
    with pytest.raises(Superseded, match=f"run {newer.run_id} has loaded a newer one"):
        older.load(older.cargo(snapshot))
    assert (at.state(), at.state("credstore_sync")) == before
    assert "newest" in {row[0] for row in at.sql("SELECT username FROM public.credentials")}
    assert not newer.red()


def test_a_load_that_waited_for_a_newer_one_is_superseded_whatever_isolation_the_database_defaults_to(at):
    """Found loading the older snapshot over the newer one: the waiting load looked at the state before its wait."""
    flow(at).load()
    at.sql(f"ALTER DATABASE {at.database.url.database} SET default_transaction_isolation = 'repeatable read'")
    older = flow(at, lock_wait_s=30)
    older_cargo = older.cargo()
    with source(at) as store:
        store.execute(
            "INSERT INTO tags SELECT 'newer', 'newer', description, color, created_at, updated_at FROM tags LIMIT 1"
        )
    newer = flow(at, lock_wait_s=30)
    newer_cargo = newer.cargo()
    with session(at.database) as application:
        application.exec_driver_sql("LOCK TABLE credstore_sync.runs IN SHARE MODE")
        one, errors = waiting_load(at, newer, newer_cargo)
        await_blocked(at)
        two, more_errors = waiting_load(at, older, older_cargo)
        await_session(at, older)
    one.join()
    two.join()
    assert errors == []
    assert [type(error) for error in more_errors] == [Superseded]
    assert runs(at)[-1] == newer.run_id


def test_a_snapshot_that_another_run_still_works_on_is_not_pruned(at):
    flow(at).load()
    rename(at, "first")
    taken = take(flow(at).deployment, flow(at).ring, "works on it")
    for name in ("second", "third"):
        rename(at, name)
        flow(at, backup_keep=1).load()
    path = taken.snapshot.path
    assert path.is_file()
    del taken
    rename(at, "fourth")
    flow(at, backup_keep=1).load()
    assert not path.exists()


def test_a_snapshot_that_was_loaded_since_the_books_were_read_is_not_pruned(at, monkeypatch):
    """Found removing the snapshot last loaded: a preflight pruned by what the books had said before another run."""
    flow(at).load()
    copying = taking.take_snapshot

    def after_another_run(*arguments, **options):
        monkeypatch.setattr(taking, "take_snapshot", copying)
        rename(at, "meanwhile")
        flow(at, backup_keep=1).load()
        rename(at, "since then")
        return copying(*arguments, **options)

    monkeypatch.setattr(taking, "take_snapshot", after_another_run)
    preflight = flow(at, backup_keep=1)
    take(preflight.deployment, preflight.ring, preflight.run_id, whole=True)
    (last,) = at.sql("SELECT snapshot_name FROM credstore_sync.runs ORDER BY finished_at DESC LIMIT 1")[0]
    assert (at.snapshots / last / "store.db").is_file()
    assert not preflight.red()


def await_session(at, run):
    asked = "SELECT 1 FROM pg_stat_activity WHERE application_name = %s"
    await_true(lambda: at.sql(asked, f"credstore {run.run_id}"))


def test_a_lock_is_waited_for_a_little_and_then_its_holder_is_named(at):
    run = flow(at, lock_wait_s=0.3)
    cargo = run.cargo()
    with session(at.database) as application:
        stop_loads_half_way(application)
        first = flow(at)
        thread, errors = waiting_load(at, first, first.cargo())
        await_blocked(at)
        with pytest.raises(LoadLocked, match=f"run {first.run_id}"):
            run.load(cargo)
    thread.join()
    assert errors == []
