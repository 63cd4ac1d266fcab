"""Killed, or cut off from PostgreSQL, between the two stores' commits: whoever comes next finds one of two states."""

import json
import os
import signal
import threading
from contextlib import contextmanager
from dataclasses import replace

import pytest

from credstore_pipeline.core.errors import CommitUnknown, Refused
from credstore_pipeline.core.keys.ring import build_ring
from credstore_pipeline.core.rollback.export import Wish, rollback_export
from credstore_pipeline_tests.pipeline.flow import content, flow, session
from credstore_pipeline_tests.pipeline.launcher import start
from credstore_pipeline_tests.pipeline.proxy import lossy
from credstore_pipeline_tests.pipeline.test_kill import await_true, sessions
from credstore_pipeline_tests.window.conftest import end
from credstore_pipeline_tests.window.test_cutover import as_before, standing, triggers_of
from credstore_pipeline_tests.window.test_rollback import OLD_KEY

RECORD = b"INSERT INTO credstore_sync.cutover"
CLEAR = b"UPDATE credstore_sync.cutover SET cleared_at"
JOB = ("job", "execute", "-m", "credstore_pipeline.definitions", "-j")


def back(at, target=None, **wish):
    run = flow(at, target=target)
    keys = replace(run.deployment.keys, rollback_key=OLD_KEY)
    deployment = replace(run.deployment, keys=keys)
    return rollback_export(deployment, build_ring(keys), run.run_id, Wish(swap=True, **wish), run.log.append)


def launched(at, job, config):
    told = at.folder / f"{job}.yaml"
    told.write_text(json.dumps({"ops": config}))
    return start(at, *JOB, job, "-c", str(told), CREDSTORE_ROLLBACK_KEY=OLD_KEY)


def changed_since(at):
    at.sql("UPDATE credentials SET description = 'changed since cutover'")


def the_new_file_counts(at):
    """A pass takes nothing from it, and what was changed since cutover stands."""
    before, state = content(at), at.state()
    run = flow(at, further_keys=(OLD_KEY,))
    run.load()
    assert (content(at), at.state()) == (before, state)
    assert {row["description"] for key, row in before.items() if key.startswith("credentials")} == {
        "changed since cutover"
    }


def test_a_cutover_whose_record_was_committed_unheard_stands(loaded):
    at = loaded()
    with lossy(at.database, "after", marks=RECORD) as proxy:
        assert end(at, proxy.target).blocked
        assert proxy.reached.is_set()
    assert standing(at)
    assert triggers_of(at)


def test_a_cutover_whose_record_never_arrived_leaves_nothing(loaded):
    at = loaded()
    with lossy(at.database, "before", marks=RECORD) as proxy:
        with pytest.raises(CommitUnknown, match="Nothing is frozen"):
            end(at, proxy.target)
        assert proxy.reached.is_set()
    as_before(at)


def test_a_cutover_whose_record_lands_later_than_its_connection_is_lost_stands(loaded):
    """Found with the server still at COMMIT: it was taken for not recorded, and the triggers taken away."""
    at = loaded()
    lost = lossy(at.database, "during", marks=RECORD)
    with working_on_its_commit(at) as done, lost as proxy, meanwhile(lambda: let_go_when_it_is_asked(at, done)):
        try:
            assert end(at, proxy.target).blocked
        finally:
            done.set()
    assert standing(at)
    assert triggers_of(at)


@pytest.mark.parametrize("why", ["it never ends", pytest.param("nobody answers", marks=pytest.mark.ci)])
def test_a_cutover_of_which_nobody_knows_whether_it_is_recorded_says_so(loaded, monkeypatch, why):
    """Found told as `nothing is recorded` while the record stood."""
    at = loaded()
    monkeypatch.setattr("credstore_pipeline.core.cutover.unheard.WAIT_S", 0.5)
    if why == "nobody answers":
        monkeypatch.setattr("credstore_pipeline.core.cutover.unheard.asked", _gone)
    lost = lossy(at.database, "during", marks=RECORD)
    said = "Whether the cutover is recorded is unknown.*`credstore status`"
    with working_on_its_commit(at), lost as proxy, pytest.raises(CommitUnknown, match=said):
        end(at, proxy.target)
    assert standing(at)
    assert triggers_of(at) == []


def test_a_rollback_that_was_committed_unheard_keeps_the_new_file(ended):
    """Found putting the old file back under a cleared record: the next pass would have undone every change since."""
    at = ended()
    changed_since(at)
    with lossy(at.database, "after", marks=CLEAR) as proxy:
        assert back(at, proxy.target).aside.is_file()
        assert proxy.reached.is_set()
    assert standing(at) is None
    the_new_file_counts(at)


def test_a_rollback_whose_commit_never_arrived_puts_the_old_file_back(ended):
    at = ended()
    changed_since(at)
    before = at.store.path.read_bytes()
    with lossy(at.database, "before", marks=CLEAR) as proxy:
        with pytest.raises(CommitUnknown):
            back(at, proxy.target)
        assert proxy.reached.is_set()
    assert at.store.path.read_bytes() == before
    assert [place.name for place in at.store.path.parent.glob("store.db*")] == ["store.db"]
    assert standing(at)
    # The server notices the lost connection when it gets to it; until then the load's lock is held.
    await_true(lambda: not sessions(at))
    back(at)
    the_new_file_counts(at)


@pytest.mark.ci
def test_a_rollback_after_which_nobody_answers_keeps_the_new_file_and_says_so(ended, monkeypatch):
    at = ended()
    changed_since(at)
    with lossy(at.database, "after", marks=CLEAR) as proxy:
        # The server is gone for good: each later question fails.
        monkeypatch.setattr("credstore_pipeline.core.cutover.unheard.asked", _gone)
        with pytest.raises(CommitUnknown, match="The new file is in place"):
            back(at, proxy.target)
    the_new_file_counts(at)


SLOW = """
CREATE FUNCTION public.works_on_it() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_advisory_lock_shared(4711); PERFORM pg_advisory_unlock_shared(4711); RETURN NULL; END $$
"""
AT_COMMIT = (
    "CREATE CONSTRAINT TRIGGER works_on_it AFTER INSERT OR UPDATE ON credstore_sync.cutover "
    "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.works_on_it()"
)


@contextmanager
def working_on_its_commit(at):
    """COMMIT of the cutover's record, or of its end, takes until the event that this gives is set."""
    at.sql(SLOW)
    at.sql(AT_COMMIT)
    done = threading.Event()
    with session(at.database) as connection:
        connection.exec_driver_sql("SELECT pg_advisory_lock(4711)")

        def let_go():
            done.wait()
            connection.exec_driver_sql("SELECT pg_advisory_unlock(4711)")

        going = threading.Thread(target=let_go)
        going.start()
        try:
            yield done
        finally:
            done.set()
            going.join()
    await_true(lambda: not sessions(at))
    at.sql("DROP TRIGGER works_on_it ON credstore_sync.cutover")


def at_its_commit(at):
    return at.sql(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory' "
        "AND query = 'COMMIT'"
    )


def let_go_when_it_is_asked(at, done):
    # The second session asks.
    await_true(lambda: (at_its_commit(at) and len(sessions(at)) > 1) or done.is_set())
    done.set()


@contextmanager
def meanwhile(what):
    """Do something in another thread while the block runs."""
    doing = threading.Thread(target=what)
    doing.start()
    try:
        yield
    finally:
        doing.join()


def test_a_rollback_whose_commit_lands_later_than_its_connection_is_lost_keeps_the_new_file(ended):
    """Found with the server still at COMMIT: it was taken for not cleared, and the old file put back under it."""
    at = ended()
    changed_since(at)
    lost = lossy(at.database, "during", marks=CLEAR)
    with working_on_its_commit(at) as done, lost as proxy, meanwhile(lambda: let_go_when_it_is_asked(at, done)):
        try:
            assert back(at, proxy.target).aside.is_file()
        finally:
            done.set()
    assert standing(at) is None
    the_new_file_counts(at)


def test_a_rollback_whose_commit_never_ends_keeps_the_new_file_and_says_so(ended, monkeypatch):
    at = ended()
    changed_since(at)
    monkeypatch.setattr("credstore_pipeline.core.cutover.unheard.WAIT_S", 0.5)
    lost = lossy(at.database, "during", marks=CLEAR)
    with (
        working_on_its_commit(at),
        lost as proxy,
        pytest.raises(CommitUnknown, match="The new file is in place"),
    ):
        back(at, proxy.target)
    assert standing(at) is None
    the_new_file_counts(at)


def test_a_rollback_interrupted_while_its_commit_succeeds_keeps_the_new_file(ended):
    """Found with Ctrl-C at COMMIT: it came out right after the success, and the files were exchanged back."""
    at = ended()
    changed_since(at)
    with working_on_its_commit(at) as done:

        def interrupt():
            await_true(lambda: at_its_commit(at))
            os.kill(os.getpid(), signal.SIGINT)
            done.set()

        with pytest.raises(KeyboardInterrupt), meanwhile(interrupt):
            back(at)
    assert standing(at) is None
    the_new_file_counts(at)


def test_a_rollback_interrupted_before_its_commit_puts_the_old_file_back(ended, monkeypatch):
    at = ended()
    changed_since(at)
    before = at.store.path.read_bytes()
    monkeypatch.setattr("credstore_pipeline.core.rollback.commit.commit_boundary", _interrupted)
    with pytest.raises(KeyboardInterrupt):
        back(at)
    assert at.store.path.read_bytes() == before
    assert [place.name for place in at.store.path.parent.glob("store.db*")] == ["store.db"]
    assert standing(at)


def _interrupted(_):
    raise KeyboardInterrupt


def _gone(*_):
    from credstore_pipeline.core.errors import TargetUnreachable

    raise TargetUnreachable("a test", "the server does not answer.")


@pytest.mark.ci
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_cutover_killed_at_its_commit_leaves_no_trigger_and_the_record_only_if_it_was_committed(loaded, when):
    at = loaded()
    with lossy(at.database, when, hold=True, marks=RECORD) as proxy:
        command = launched(
            replace(at, database=proxy.target), "cutover", {"cut_over": {"config": {"confirm": str(at.store.path)}}}
        )
        await_true(proxy.reached.is_set, command)
        assert triggers_of(at)
        command.kill()
    await_true(lambda: not sessions(at))
    await_true(lambda: not triggers_of(at))
    if when == "before":
        as_before(at)
    assert (standing(at) is not None) == (when == "after")


@pytest.mark.ci
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_rollback_killed_at_its_commit_leaves_the_new_file_and_is_made_again_or_done(ended, when):
    at = ended()
    changed_since(at)
    with lossy(at.database, when, hold=True, marks=CLEAR) as proxy:
        command = launched(
            replace(at, database=proxy.target), "rollback_export", {"export": {"config": {"swap": True}}}
        )
        await_true(proxy.reached.is_set, command)
        command.kill()
    await_true(lambda: not sessions(at))
    if when == "before":
        assert standing(at)
        with pytest.raises(Refused, match="late_writes"):
            back(at)
        back(at, allow_loss=("late_writes",))
    assert standing(at) is None
    the_new_file_counts(at)
