"""Judging in bulk: workers say what one process says, hold their keys to themselves and die in time."""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import pyarrow as pa
import pytest

from credstore_pipeline.core.deployment import KeyMaterial
from credstore_pipeline.core.errors import SealingFailed
from credstore_pipeline.core.fingerprints import secret_fingerprint
from credstore_pipeline.core.keys.ring import build_ring
from credstore_pipeline.core.secrets.chunks import CHUNK_ROWS
from credstore_pipeline.core.secrets.opening import open_secret
from credstore_pipeline.core.secrets.pool import JUDGED, SEEN, SecretPool
from credstore_pipeline_tests.core.secrets.vectors import made_envelope, made_token, sha256_of
from credstore_pipeline_tests.waiting import process_state

CANARY = "canary-0123456789-password"
RING = build_ring(KeyMaterial(target_key="target " + CANARY, application_key="application " + CANARY))
MAC_KEY = bytes(range(32))
LOST = sha256_of("lost")

OPENS = [
    None,
    b"",
    b"plaintext",
    b"admin_password",
    b"\xff",
    made_token(sha256_of("application " + CANARY), b"a"),
    made_envelope(made_token(sha256_of("target " + CANARY), b"kept")),
]
# What no key opens costs each worker every PBKDF2 derivation, once.
REFUSED = [
    made_envelope(made_token(LOST, b"lost"), "key_00000001"),
    made_token(sha256_of("target " + CANARY), made_token(LOST, b"lost")),
]
COUNT = 2 * CHUNK_ROWS + 99
SOON_S = 30.0
"""Half of the time for which whoever holds a worker's pipes lives on."""


def rows(count=COUNT, sample=OPENS):
    return [f"id-{number}" for number in range(count)], [sample[number % len(sample)] for number in range(count)]


def workers(**more):
    return SecretPool(RING, MAC_KEY, cores=2, threshold_rows=10, **more)


def is_gone(pid: int) -> bool:
    """True if the process ended, whether or not its parent has taken notice."""
    return process_state(pid) in (None, "Z")


def wait_for(condition, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


@pytest.mark.parametrize("plaintext", ["encrypt", "refuse"])
def test_workers_say_what_one_process_says(plaintext):
    ids, stored = rows(sample=OPENS + REFUSED)
    with workers(plaintext=plaintext) as pool, SecretPool(RING, MAC_KEY, plaintext=plaintext, cores=1) as alone:
        there, here = pool.judge(ids, stored), alone.judge(ids, stored)
        assert len(pool.pids) == 2
        assert alone.pids == []
        texts = here["sealed"].to_pylist()
        for only_primary in (True, False):
            assert pool.fingerprint(ids, texts, only_primary=only_primary) == alone.fingerprint(
                ids, texts, only_primary=only_primary
            )
    assert there.schema == JUDGED
    assert there.drop_columns("sealed") == here.drop_columns("sealed")
    # Fresh seals differ in text, never in meaning.
    for one, other in zip(there["sealed"].to_pylist()[:50], here["sealed"].to_pylist()[:50], strict=True):
        assert (one is None) == (other is None)
        if one:
            assert open_secret(one, RING, "").plaintext == open_secret(other, RING, "").plaintext


@pytest.mark.parametrize("cores", [1, 2])
def test_results_stand_in_the_rows_order(cores):
    ids = [f"id-{number}" for number in range(COUNT)]
    with SecretPool(RING, MAC_KEY, cores=cores, threshold_rows=10, plaintext="refuse") as pool:
        seen = pool.fingerprint(ids, ids, only_primary=False)
    assert seen["fingerprint"].to_pylist() == [secret_fingerprint(MAC_KEY, row_id, row_id.encode()) for row_id in ids]


def test_what_is_sealed_reads_back_with_the_same_fingerprint():
    ids, stored = rows(300)
    with SecretPool(RING, MAC_KEY) as pool:
        judged = pool.judge(ids, stored)
        good = judged.append_column("id", pa.array(ids)).filter(judged["fingerprint"].is_valid())
        seen = pool.fingerprint(good["id"].to_pylist(), good["sealed"].to_pylist(), only_primary=True)
    assert seen.schema == SEEN
    assert seen["fingerprint"] == good["fingerprint"]
    assert good.num_rows > 100


def test_arrow_columns_are_taken_as_they_are():
    ids, stored = rows(50)
    with SecretPool(RING, MAC_KEY) as pool:
        assert pool.judge(pa.array(ids), pa.array(stored, pa.binary())).drop_columns("sealed") == pool.judge(
            ids, stored
        ).drop_columns("sealed")
        texts = pa.chunked_array([["a", None], [""]])
        assert pool.fingerprint(ids[:3], texts, only_primary=False)["encoding"].to_pylist() == [
            "plaintext",
            "null",
            "empty",
        ]


def test_no_rows_give_a_table_without_rows():
    with workers() as pool:
        assert pool.judge([], []).schema == JUDGED
        assert pool.fingerprint([], [], only_primary=True).num_rows == 0


def test_few_rows_start_no_worker():
    with workers() as pool:
        pool.judge(*rows(10))
        assert pool.pids == []


def test_different_lengths_are_an_error():
    with workers() as pool, pytest.raises(ValueError, match="1 ids for 2 passwords"):
        pool.judge(["1"], [None, None])


@pytest.mark.parametrize("cores", [1, 2])
def test_progress_counts_rows_done(cores):
    told = []
    with SecretPool(RING, MAC_KEY, cores=cores, threshold_rows=10) as pool:
        pool.judge(*rows(), told.append)
    assert told[-1] == COUNT
    assert told == sorted(told)
    assert len(told) == 3


def test_workers_end_with_the_block():
    with workers() as pool:
        pool.judge(*rows())
        pids = pool.pids
        assert not any(is_gone(pid) for pid in pids)
    assert all(is_gone(pid) for pid in pids)


def test_workers_end_when_the_callers_code_fails():
    pids = []

    def fail(_: int) -> None:
        pids.extend(pool.pids)
        raise RuntimeError("the caller's own")

    with pytest.raises(RuntimeError, match="the caller's own"), workers() as pool:
        pool.judge(*rows(), fail)
    assert len(pids) == 2
    assert all(is_gone(pid) for pid in pids)


def test_workers_that_hang_do_not_hold_up_the_end():
    def hang(_: int) -> None:
        for pid in pool.pids:
            os.kill(pid, signal.SIGSTOP)
        raise RuntimeError("the caller's own")

    with workers() as pool:
        with pytest.raises(RuntimeError, match="the caller's own"):
            pool.judge(*rows(8 * CHUNK_ROWS), hang)
        pool.judge(*rows())
        pids = pool.pids
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
    assert all(is_gone(pid) for pid in pids)


def test_a_worker_that_dies_is_an_error_and_not_a_gap():
    def kill(_: int) -> None:
        for pid in pool.pids:
            # The first chunk's caller may find one of them gone already.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    with workers() as pool:
        with pytest.raises(SealingFailed, match="ended early"):
            pool.judge(*rows(8 * CHUNK_ROWS), kill)
        assert pool.pids == []
        assert pool.judge(*rows()).num_rows == COUNT


@pytest.mark.parametrize("cores", [1, 2])
def test_an_unexpected_failure_shows_its_type_alone(cores, capfd):
    """A number where bytes are due: any fault beside a password must not quote it."""
    ids, stored = rows()
    stored[3] = CANARY.encode()
    stored[4] = 5
    with (
        SecretPool(RING, MAC_KEY, cores=cores, threshold_rows=10) as pool,
        pytest.raises(SealingFailed, match=r"failed.*TypeError") as caught,
    ):
        pool.judge(ids, stored)
    shown = "".join(traceback.format_exception(caught.value)) + "".join(capfd.readouterr())
    assert CANARY not in shown
    assert CANARY.encode() not in pickle.dumps(caught.value)


def test_no_key_stands_in_a_workers_environment_or_command_line(monkeypatch):
    monkeypatch.setenv("NETRAVEN_ENCRYPTION_KEY", CANARY)
    monkeypatch.setenv("CREDSTORE_TARGET_KEY", CANARY)
    with workers() as pool:
        pool.judge(*rows())
        for pid in pool.pids:
            shown = Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
            assert b"credstore_pipeline.core.secrets.worker" in shown
            assert CANARY.encode() not in shown
            assert b"CREDSTORE" not in shown


def test_a_worker_writes_nowhere_but_to_its_run():
    with workers() as pool:
        # Enough that each of them has answered something.
        pool.judge(*rows(8 * CHUNK_ROWS))
        for pid in pool.pids:
            assert [str(Path(f"/proc/{pid}/fd/{fd}").readlink()) for fd in (0, 1, 2)] == ["/dev/null"] * 3


def test_a_folder_with_modules_of_the_same_names_changes_nothing(tmp_path, monkeypatch):
    (tmp_path / "credstore_pipeline").mkdir()
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    with workers() as pool:
        assert pool.judge(*rows()).num_rows == COUNT


def test_a_worker_imports_the_core_alone():
    """Each worker pays for what it imports; pandas, Arrow, SQLAlchemy and Dagster take seconds."""
    code = "import sys, credstore_pipeline.core.secrets.worker; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"pandas", "numpy", "pyarrow", "pandera", "sqlalchemy", "dagster", "pydantic"}
    assert not heavy & {name.partition(".")[0] for name in loaded}


RUN = """
import sys, time
from credstore_pipeline_tests.core.secrets.test_pool import rows, workers

def told(done):
    print(*pool.pids, flush=True)

with workers() as pool:
    if sys.argv[1] == "busy":
        pool.judge(*rows(200_000), told)
    pool.judge(*rows())
    told(0)
    time.sleep(60)
"""


@pytest.mark.parametrize("moment", ["busy", "idle"])
def test_workers_are_gone_two_seconds_after_the_run_is_killed(moment):
    # On a machine that stands still now and then, one of three times has to show it.
    assert any(seconds_until_gone(moment) < 2 for _ in range(3))


def seconds_until_gone(moment):
    """Kill a run at work or at rest; give the time until its workers are gone."""
    with subprocess.Popen([sys.executable, "-c", RUN, moment], stdout=subprocess.PIPE, text=True) as run:
        pids = [int(pid) for pid in run.stdout.readline().split()]
        assert len(pids) == 2
        assert not any(is_gone(pid) for pid in pids)
        run.kill()
        run.wait()
        began = time.monotonic()
        assert wait_for(lambda: all(is_gone(pid) for pid in pids), SOON_S)
        return time.monotonic() - began


HOLDER = """
import os, subprocess, sys, time
from credstore_pipeline_tests.core.secrets.test_pool import rows, workers

with workers() as pool:
    pool.judge(*rows())
    if not os.fork():
        time.sleep(60)
        os._exit(0)
    print(*pool.pids, flush=True)
    time.sleep(60)
"""


def test_workers_are_gone_even_if_another_process_holds_their_pipes_open():
    """A child forked by someone else inherits the pipes; their end never comes."""
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True, process_group=0) as run:
        pids = [int(pid) for pid in run.stdout.readline().split()]
        assert len(pids) == 2
        os.kill(run.pid, signal.SIGKILL)
        gone = wait_for(lambda: all(is_gone(pid) for pid in pids), SOON_S)
        os.killpg(run.pid, signal.SIGKILL)
    assert gone


def test_an_interrupt_at_the_terminal_is_the_runs_to_handle():
    with workers() as pool:
        # Enough that each of them has answered something.
        pool.judge(*rows(8 * CHUNK_ROWS))
        for pid in pool.pids:
            os.kill(pid, signal.SIGINT)
        assert pool.judge(*rows()).num_rows == COUNT


def test_what_was_begun_goes_on_while_its_caller_does_something_else():
    ids, stored = rows(4 * CHUNK_ROWS)
    with workers() as pool:
        sealed = pool.judge(ids, stored)["sealed"]
        wait = pool.begin(ids, sealed, only_primary=True)
        assert all(not is_gone(pid) for pid in pool.pids)
        assert wait(None).equals(pool.fingerprint(ids, sealed, only_primary=True))


def test_work_that_nobody_waits_for_ends_with_the_pool():
    ids, stored = rows(8 * CHUNK_ROWS)
    with workers() as pool, pytest.raises(RuntimeError, match="the caller's own"):
        sealed = pool.judge(ids, stored)["sealed"]
        pool.begin(ids, sealed, only_primary=True)
        pids = pool.pids
        raise RuntimeError("the caller's own")
    assert all(is_gone(pid) for pid in pids)
