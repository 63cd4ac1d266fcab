"""Kill -9 at every stage, and a connection lost during COMMIT: run again, and the target is what it would have been."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from credstore_pipeline.demo.big import KEY_STRING
from credstore_pipeline_tests import waiting
from credstore_pipeline_tests.core.target.ddl import W5FF43A7
from credstore_pipeline_tests.pipeline.flow import TARGET_KEY, content, flow, in_source, session
from credstore_pipeline_tests.pipeline.launcher import start
from credstore_pipeline_tests.pipeline.proxy import lossy
from credstore_pipeline_tests.waiting import process_state, waiting_for_locks

WORKER = b"credstore_pipeline.core.secrets.worker"
ENDED_MAX_S = 30.0
BEFORE_LOAD = "credstore_pipeline.core.load.transaction:take_lock"
IN_PARTIAL = "credstore_pipeline.core.source.snapshot:content_digest"


def await_true(condition, command=None, max_s=600.0):
    def holds():
        found = condition()
        assert found or command is None or command.code is None, command.text[-3000:]
        return found

    waiting.await_true(holds, max_s, pause_s=0.002)


def staged(at, asset):
    return list((at.home / "staging").glob(f"*/{asset}.sealed"))


def tables(at):
    return at.sql("SELECT count(*) FROM pg_tables WHERE schemaname IN ('public', 'credstore_sync')")[0][0]


def committed_runs(at):
    if at.sql("SELECT to_regclass('credstore_sync.runs')") == [(None,)]:
        return []
    return [row[0] for row in at.sql("SELECT run_id FROM credstore_sync.runs ORDER BY finished_at")]


def sessions(at):
    return at.sql(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'credstore %%'"
    )


def children(pid):
    """Process ids of all that the process started, with their command lines."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            if parent == pid:
                found[int(stat.parent.name)] = (stat.parent / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def alive(pid, command_line):
    """Whether the process still runs the command it ran; a zombie does not, nor does another of the same number."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() == command_line
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    "asset",
    [
        "backup__snapshot",
        pytest.param("extracted__credentials", marks=pytest.mark.ci),
        pytest.param("preflight__census", marks=pytest.mark.ci),
        pytest.param("validated__credentials", marks=pytest.mark.ci),
    ],
)
def test_killed_after_a_stage_it_leaves_the_target_untouched_and_the_next_run_does_it_all(lab, asset):
    at = lab("web")
    # A test that looks too late would find it loaded.
    command = start(at, stop_in=BEFORE_LOAD)
    await_true(lambda: staged(at, asset), command)
    command.kill()
    assert command.code == -9
    assert tables(at) == 0
    run = flow(at)
    run.load()
    assert content(at) == in_source(at)
    assert committed_runs(at) == [run.run_id]
    assert not run.red()
    assert not list(at.snapshots.glob("*.partial"))


@pytest.mark.ci
def test_killed_in_the_middle_of_the_load_it_is_rolled_back_and_the_next_run_does_it_all(lab):
    at = lab("web")
    at.sql(W5FF43A7.replace("{schema}", "public"))
    with session(at.database) as application:
        # Tags and credentials can be written; associations have to wait.
        application.exec_driver_sql("LOCK TABLE public.credential_tags IN SHARE MODE")
        command = start(at)
        await_true(lambda: any(name.startswith("credstore ") for name in waiting_for_locks(at.sql).values()), command)
        command.kill()
        # Although what it waited for is still held: else the load's own lock would be, too.
        await_true(lambda: not sessions(at))
    assert [at.sql(f"SELECT count(*) FROM public.{name}")[0][0] for name in ("tags", "credentials")] == [0, 0]
    assert committed_runs(at) == []
    leftovers = list((at.home / "staging").iterdir())
    assert leftovers

    command = start(at)
    assert command.wait() == 0
    assert not list((at.home / "staging").iterdir())
    assert content(at) == in_source(at)
    assert len(committed_runs(at)) == 1
    assert not flow(at).red()
    assert not list(at.snapshots.glob("*.partial"))


@pytest.mark.ci
def test_killed_after_the_commit_it_is_committed_once_and_the_next_run_writes_nothing(lab):
    at = lab("web")
    command = start(at)
    await_true(lambda: committed_runs(at), command)
    command.kill()
    (killed,) = committed_runs(at)
    before = at.state()
    assert content(at) == in_source(at)
    command = start(at)
    assert command.wait() == 0
    assert at.state() == before
    assert committed_runs(at)[0] == killed
    assert len(committed_runs(at)) == 2
    assert len(list(at.snapshots.iterdir())) == 1
    assert not flow(at).red()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_lost_during_commit_is_committed_exactly_once_by_the_same_run(lab, when):
    at = lab("web")
    with lossy(at.database, when) as proxy:
        run = flow(at, target=proxy.target, lock_wait_s=30)
        loaded = run.load()
        assert proxy.reached.is_set()
    assert run.tried_again
    found = any("only its acknowledgement was lost" in line for line in run.log)
    assert found == (when == "after")
    assert loaded.kind == "initial"
    assert loaded.counts["credentials"]["inserted"] == 12
    assert committed_runs(at) == [run.run_id]
    assert content(at) == in_source(at)
    assert not flow(at).red()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.ci
def test_killed_during_commit_it_is_committed_whole_or_not_at_all_and_the_next_run_sees_which(lab, when):
    at = lab("web")
    with lossy(at.database, when, hold=True) as proxy:
        through = replace(at, database=proxy.target)
        command = start(through)
        await_true(proxy.reached.is_set, command)
        command.kill()
    await_true(lambda: not sessions(at))
    killed = committed_runs(at)
    assert len(killed) == (when == "after")
    before = at.state()
    run = flow(at)
    loaded = run.load()
    assert loaded.kind == ("resync" if killed else "initial")
    assert committed_runs(at) == [*killed, run.run_id]
    if killed:
        assert at.state() == before
    assert content(at) == in_source(at)
    assert not run.red()


@pytest.mark.ci
def test_killed_while_all_cores_open_passwords_no_process_of_the_run_is_left_two_seconds_later(lab):
    at = lab("big", credentials=20_500)
    # On a machine that stands still now and then, one of three times has to show it.
    assert any(seconds_until_gone(at) < 2 for _ in range(3))
    assert tables(at) == 0


def seconds_until_gone(at):
    """Kill a run while all cores open passwords; give the time until no process of it is left."""
    command = start(at)

    def workers():
        return {pid: words for pid, words in children(command.pid).items() if WORKER in words}

    await_true(lambda: len(workers()) == len(os.sched_getaffinity(0)), command)
    # Whoever may list processes must not learn a key from them.
    for pid in workers():
        shown = b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("environ", "cmdline"))
        assert not any(word in shown for word in (TARGET_KEY.encode(), KEY_STRING.encode(), b"CREDSTORE_", b"postgres"))
    started = children(command.pid)
    command.kill()
    killed = time.monotonic()
    await_true(lambda: not any(alive(*process) for process in started.items()), max_s=ENDED_MAX_S)
    return time.monotonic() - killed


@pytest.mark.ci
def test_killed_while_the_snapshot_is_taken_it_leaves_a_partial_folder_that_the_next_run_removes(lab):
    at = lab("web")
    command = start(at, stop_in=IN_PARTIAL)
    await_true(lambda: process_state(command.pid) == "T", command)
    started = children(command.pid)
    command.kill()
    (partial,) = at.snapshots.glob("*.partial")
    assert partial.stat().st_mode & 0o777 == 0o700
    await_true(lambda: not any(alive(*process) for process in started.items()), max_s=ENDED_MAX_S)
    assert tables(at) == 0
    flow(at).snapshot()
    (whole,) = at.snapshots.iterdir()
    assert whole.suffix != ".partial"
