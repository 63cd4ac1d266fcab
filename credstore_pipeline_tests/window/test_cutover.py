"""The cutover: what it refuses, what it leaves behind, and that a failed one leaves nothing."""

import errno
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import pytest

from credstore_pipeline.cli.standing import standing as standing_of
from credstore_pipeline.core.cutover.cut_over import cut_over
from credstore_pipeline.core.cutover.freeze import frozen, leftover_triggers
from credstore_pipeline.core.cutover.record import standing_cutover
from credstore_pipeline.core.cutover.triggers import MESSAGE, triggers
from credstore_pipeline.core.errors import CredstoreError, CutOver, LoadLocked, Refused, SourceError
from credstore_pipeline.core.load.ledger import put_event
from credstore_pipeline.core.proofs.outcome import last_verify
from credstore_pipeline.core.target.connect import make_engine, target_now, transaction
from credstore_pipeline.core.target.lock import take_lock
from credstore_pipeline_tests.pipeline.flow import content, flow, session, source
from credstore_pipeline_tests.waiting import await_true
from credstore_pipeline_tests.window.conftest import end
from credstore_pipeline_tests.window.test_rollback import back

ADD = "INSERT INTO tags (id, name) VALUES ('written late', 'written late')"


def standing(at):
    with transaction(make_engine(at.database, "a test"), "a test") as connection:
        return standing_cutover(connection)


def triggers_of(at):
    with source(at) as connection:
        return triggers(connection)


def as_before(at):
    """Nothing is recorded, no trigger stands, and the store takes writes."""
    assert standing(at) is None
    assert triggers_of(at) == []
    with source(at) as connection:
        connection.execute(ADD)
        connection.rollback()


def test_a_cutover_takes_the_last_change_over_blocks_writers_and_is_recorded(loaded):
    at = loaded()
    with source(at) as connection:
        connection.execute("UPDATE credentials SET description = 'changed last' WHERE rowid = 1")
    done = end(at)
    assert {row.get("description") for row in content(at).values()} >= {"changed last"}
    assert done.blocked == ("credential_tags", "credentials", "tags")
    assert standing(at).source_path == str(at.store.path)
    for statement in (ADD, "UPDATE credentials SET name = 'x'", "DELETE FROM credential_tags"):
        with pytest.raises(sqlite3.IntegrityError, match=MESSAGE), source(at) as connection:
            connection.execute(statement)


def test_without_block_writers_old_containers_can_still_write(loaded):
    at = loaded()
    assert end(at, block_writers=False).blocked == ()
    with source(at) as connection:
        connection.execute(ADD)


def test_after_a_cutover_no_load_is_made_by_whoever_launches_it(ended):
    at = ended()
    before = at.state()
    with pytest.raises(CutOver, match="PostgreSQL alone counts"):
        flow(at).snapshot()
    at.sql("UPDATE credstore_sync.cutover SET cleared_at = now()")
    run = flow(at)
    cargo = run.cargo()
    at.sql("UPDATE credstore_sync.cutover SET cleared_at = NULL")
    with pytest.raises(CutOver):
        run.load(cargo)
    assert at.state() == before
    with pytest.raises(CutOver):
        end(at)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"confirm": "/another/path"}, "is not the store's path"),
        ({"max_downtime_s": 0.001}, "CREDSTORE_MAX_DOWNTIME_S"),
    ],
)
def test_a_cutover_that_is_not_confirmed_or_would_take_too_long_is_refused(loaded, how, said):
    at = loaded()
    policies = {name: value for name, value in how.items() if name != "confirm"}
    confirm = how.get("confirm", str(at.store.path))
    with pytest.raises(Refused, match=said):
        _end_with(at, policies, confirm=confirm)
    as_before(at)


def _end_with(at, policies, **how):
    run = flow(at, **policies)
    return cut_over(run.deployment, run.ring, run.run_id, log=run.log.append, **{"confirm": str(at.store.path), **how})


def test_a_cutover_before_anything_was_loaded_is_refused(lab):
    at = lab("web")
    with pytest.raises(Refused, match="nothing was loaded yet"):
        end(at)
    as_before(at)


def test_a_cutover_waits_for_a_green_verify_of_what_was_loaded_last(loaded):
    at = loaded()
    verified = at.sql("SELECT run_id FROM credstore_sync.verified")
    at.sql("CREATE TABLE kept AS SELECT * FROM credstore_sync.verified")
    at.sql("DELETE FROM credstore_sync.verified")
    assert "was never verified: launch the job `verify`" in _refused(at)
    at.sql("INSERT INTO credstore_sync.verified SELECT * FROM kept")

    # A pass that changes nothing leaves the verify as good as it was; one that does not, does not.
    flow(at).load()
    assert last(at).changed_since is None
    with source(at) as connection:
        connection.execute("UPDATE credentials SET description = 'changed' WHERE rowid = 1")
    run = flow(at)
    run.load()
    told = _refused(at)
    assert f"green at {last(at).made_at:%Y-%m-%d %H:%M:%S} UTC in run {verified[0][0]}, and run {run.run_id}" in told
    assert "changed something since: launch the job `verify`" in told
    flow(at).verify()
    end(at)


def test_after_a_red_verify_a_cutover_names_its_checks_although_they_hold_again(loaded):
    at = loaded()
    at.sql("CREATE TABLE kept AS SELECT * FROM credstore_sync.row_state")
    at.sql("DELETE FROM credstore_sync.row_state WHERE source_table = 'credentials'")
    red = {name for name, found in flow(at).verify().items() if found.fatal and not found.passed}
    at.sql("INSERT INTO credstore_sync.row_state SELECT * FROM kept ON CONFLICT DO NOTHING")
    assert red
    assert not flow(at).red()
    told = _refused(at)
    assert "the last verify was red: " in told
    assert all(name in told for name in red)
    flow(at).verify()
    end(at)


def last(at):
    with transaction(make_engine(at.database, "a test"), "a test") as connection:
        return last_verify(connection)


def _refused(at):
    with pytest.raises(Refused) as refused:
        end(at)
    as_before(at)
    return str(refused.value)


def test_conflicts_quarantine_and_red_proofs_are_named_together(loaded):
    at = loaded("dirty")
    at.sql(
        "INSERT INTO credstore_sync.conflicts (source_table, row_id, column_name, kind, policy, outcome, first_run, "
        "seen_at) VALUES ('tags', 'x', 'name', 'both_changed', 'manual', 'waiting', 'r', now())"
    )
    at.sql("DELETE FROM credstore_sync.row_state WHERE source_table = 'credentials'")
    with pytest.raises(Refused) as refused:
        _end_with(at, {"max_quarantined": 0, "max_quarantined_links": 0})
    for part in ("1 conflicts wait", "credentials are in quarantine, 0 allowed", "the proofs do not hold now"):
        assert part in str(refused.value)
    as_before(at)


def test_what_fails_under_the_freeze_leaves_no_trigger_no_record_and_no_lock(loaded):
    """A row that no key opens turns up in the final pass."""
    at = loaded()
    with source(at) as connection:
        connection.execute("UPDATE credentials SET password = ? WHERE rowid = 1", (_shut(),))
    with pytest.raises(CredstoreError, match="Nothing is frozen"):
        _end_with(at, {"max_quarantined": 0})
    as_before(at)


def _shut():
    from credstore_pipeline_tests.pipeline.flow import sealed

    return sealed("x", "a key that nobody gave")


def test_a_run_that_commits_after_the_final_pass_is_not_cut_over_unproven(loaded):
    """Found with `replay_quarantine`: it wrote an old password after the proofs, and the cutover was green."""
    at = loaded()

    def log(line):
        if "final proofs were made" in line:
            with transaction(make_engine(at.database, "a replay"), "a test") as connection:
                take_lock(connection, "public", 0)
                connection.exec_driver_sql("UPDATE public.credentials SET password = 'an old one'")
                put_event(connection, "a replay", "replay", target_now(connection), {"credentials": {"updated": 1}})

    with pytest.raises(Refused, match=r"run a replay \(replay\) wrote to the target after the final pass"):
        end(at, log=log)
    as_before(at)


def test_a_lock_that_is_not_given_leaves_the_store_as_it_was(loaded):
    at = loaded()
    with session(at.database) as connection:
        take_lock(connection, "public", 0)
        with pytest.raises(LoadLocked, match="Nothing is frozen"):
            end(at)
    as_before(at)


def test_a_frozen_store_is_read_and_not_written(loaded):
    at = loaded()
    with frozen(at.store.path), closing(sqlite3.connect(at.store.path, timeout=0)) as other:
        assert other.execute("SELECT count(*) FROM credentials").fetchone()[0]
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            other.execute(ADD)
    as_before(at)


def test_a_folder_that_cannot_be_written_is_named(loaded, monkeypatch):
    at = loaded()
    at.store.path.chmod(0o400)
    monkeypatch.setattr(os, "access", lambda place, mode: place != at.store.path)
    with pytest.raises(SourceError, match=r"store\.db is mounted or set read-only"), frozen(at.store.path):
        pass


@pytest.fixture
def mounted(tmp_path_factory):
    """Mounts a folder a second time, read-only, as a container does: `mounted(folder)` is where."""
    places = []

    def mount(folder):
        place = tmp_path_factory.mktemp("mounted")
        for options in (["--bind", folder], ["-o", "remount,ro,bind"]):
            done = subprocess.run(["mount", *options, place], capture_output=True)
            if done.returncode:
                pytest.skip("mounting a folder takes root's rights")
            places.append(place)
        return place

    yield mount
    for place in set(places):
        subprocess.run(["umount", place], check=True)


def test_a_read_only_mount_is_refused_by_name_and_nothing_is_frozen(loaded, mounted):
    at = loaded()
    place = mounted(at.store.path.parent) / at.store.path.name
    run = flow(at)
    deployment = replace(run.deployment, source=replace(run.deployment.source, sqlite_path=place))
    with pytest.raises(SourceError, match=f"{place} is mounted or set read-only.*Nothing is frozen.*Mount the store"):
        cut_over(deployment, run.ring, run.run_id, confirm=str(place), log=run.log.append)
    as_before(at)


HOLD = """
import sys, time
from pathlib import Path
from credstore_pipeline.core.cutover.freeze import frozen, leftover_triggers
with frozen(Path(sys.argv[1])) as held:
    held.block_writers()
    print("blocked", flush=True)
    time.sleep(60)
"""


def test_a_run_that_is_killed_between_triggers_and_record_leaves_neither(loaded):
    at = loaded()
    run = subprocess.Popen([sys.executable, "-c", HOLD, str(at.store.path)], stdout=subprocess.PIPE, text=True)
    assert run.stdout.readline() == "blocked\n"
    assert len(triggers_of(at)) == 9
    run.send_signal(signal.SIGKILL)
    run.wait()
    await_true(lambda: not triggers_of(at), max_s=60)
    as_before(at)


class Crash(Exception):
    """The run ends here."""


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_triggers_that_a_killed_machine_left_are_named_and_go_as_the_next_cutover_begins(loaded, mode):
    """Found with a container killed as a whole: old containers were refused while status said that both are live."""
    at = loaded()
    with source(at) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
    with pytest.raises(SourceError, match="may refuse the application's writes"), frozen(at.store.path) as held:
        held.block_writers()
        held._process.kill()
    assert len(triggers_of(at)) == 9
    deployment = flow(at).deployment
    assert leftover_triggers(at.store.path, at.snapshots) == triggers_of(at)
    told = standing_of(deployment)["window"]
    assert "9 triggers of a cutover that was killed refuse the application's writes" in told

    def crash(line):
        if "is frozen" in line:
            raise Crash

    with pytest.raises(Crash):
        end(at, log=crash)
    as_before(at)
    assert standing_of(deployment)["window"] == "Both stores are live: no cutover stands."


def test_a_cutover_that_comes_second_leaves_the_firsts_triggers(loaded):
    at = loaded()

    def log(line):
        if "is expected to take" in line:
            end(at)

    with pytest.raises(CutOver):
        end(at, log=log)
    assert standing(at)
    assert len(triggers_of(at)) == 9


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_archive_renames_the_file_and_the_store_is_found_again(loaded, mode):
    at = loaded()
    with source(at) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
    done = end(at, archive=True)
    assert done.archived_as.is_file()
    assert sorted(place.name for place in at.store.path.parent.glob("store.db*")) == [done.archived_as.name]
    assert standing(at).place(at.store.path) == done.archived_as


@pytest.mark.parametrize("step", ["the rename", "the folder's entries on disk"])
def test_a_folder_that_refuses_the_new_name_does_not_end_a_cutover_that_stands(loaded, watch, step):
    """Found as an error that nobody caught: the run was red, and said that nothing is recorded."""
    at = loaded()

    def refuse(event, arguments):
        wanted = ("os.rename", str(at.store.path)) if step == "the rename" else ("open", str(at.store.path.parent))
        if (event, str(arguments[0])) == wanted:
            raise OSError(errno.EROFS, "a folder that was mounted read-only meanwhile")

    with watch.calling(refuse):
        done = end(at, archive=True)
    assert "refuses (EROFS)" in done.archive_refused
    assert (done.archived_as is None) == (step == "the rename")
    (there,) = at.store.path.parent.glob("store.db*")
    assert standing(at).place(at.store.path) == there
    back(at, swap=True)


@pytest.mark.ci
def test_archive_is_not_made_while_somebody_has_the_wal_file_open(loaded):
    at = loaded()
    with closing(sqlite3.connect(at.store.path)) as other:
        other.execute("PRAGMA journal_mode = wal")
        other.execute("SELECT count(*) FROM tags").fetchone()
        done = end(at, archive=True)
    assert done.archived_as is None
    assert "holds it locked" in done.archive_refused
    assert at.store.path.is_file()
    assert standing(at)
