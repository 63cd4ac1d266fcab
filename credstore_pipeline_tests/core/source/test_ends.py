"""What is left when a run is killed, and what goes when snapshots grow old."""

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from credstore_pipeline.core.errors import SnapshotNotProven
from credstore_pipeline.core.source.connect import open_source
from credstore_pipeline.core.source.inspect import SourceShape, inspect
from credstore_pipeline.core.source.partial import partial_folder, private_folder, sweep
from credstore_pipeline.core.source.reopen import reading_back
from credstore_pipeline.core.source.retention import discard, prune, snapshot_names
from credstore_pipeline.core.source.snapshot import take_snapshot
from credstore_pipeline_tests.core.source.legacy_files import KEY, bytes_of, make_file, make_orm, now, run_and_die

STOP = "print('ready', flush=True); time.sleep(60)"
TAKE = f"""
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from credstore_pipeline.core.source.snapshot import take_snapshot
readings = []
def clock():
    readings.append(1)
    if len(readings) == 2:  # the source is read, the copy is not proven
        {STOP}
    return datetime.now(UTC)
take_snapshot(Path(sys.argv[1]), Path(sys.argv[2]), bytes(32), clock, "killed")
"""
COPY = f"""
import sys, time
from pathlib import Path
from credstore_pipeline.core.source.connect import open_source
with open_source(Path(sys.argv[1]), copies=Path(sys.argv[2])):
    {STOP}
"""


def stopped(script: str, *arguments: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("script", [TAKE, COPY])
def test_a_killed_run_leaves_partial_folders_that_the_next_one_sweeps(tmp_path: Path, script: str) -> None:
    (tmp_path / "app").mkdir()
    store = make_orm(tmp_path / "app" / "store.db")
    run_and_die("connection.execute('PRAGMA journal_mode=WAL'); add(1)", store)
    store.with_name("store.db-shm").unlink()
    before = bytes_of(store.parent)
    backups = private_folder(tmp_path / "backups")
    with stopped(script, store, backups) as process:
        assert sweep(backups) == 0  # it is alive: another run leaves its folders alone
        process.kill()
    assert {p.suffix for p in backups.iterdir()} == {".partial"}
    assert snapshot_names(backups) == []
    assert bytes_of(store.parent) == before
    snapshot = take_snapshot(store, backups, KEY, now, "next")
    assert [p.name for p in backups.iterdir()] == [snapshot.name]


def test_a_partial_folder_of_this_process_is_not_swept_and_then_gone(tmp_path: Path) -> None:
    with partial_folder(tmp_path, "x") as (folder, _):
        (folder / "file").touch()
        assert sweep(tmp_path) == 0
        assert (folder / "file").exists()
    assert list(tmp_path.iterdir()) == []


def test_the_reading_process_ends_with_its_parents_pipe(tmp_path: Path) -> None:
    """It hangs in a pipe that nobody writes to, as in a disk that does not answer."""
    os.mkfifo(tmp_path / "store.db")
    command = [sys.executable, "-S", "-P", "-m", "credstore_pipeline.core.source.reopen"]
    root = Path(__file__).parents[3]
    process = subprocess.Popen(command, env={"PYTHONPATH": str(root)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.stdin
        shape = '{"flavour": "orm", "tables": [], "other_tables": []}'
        process.stdin.write(f'{{"path": "{tmp_path}/store.db", "key": "{KEY.hex()}", "shape": {shape}}}\n'.encode())
        process.stdin.flush()
        time.sleep(0.3)
        assert process.poll() is None
        process.stdin.close()
        try:
            assert process.wait(timeout=60) == 1
        finally:
            process.kill()


def test_the_reading_process_gets_no_environment_and_no_key_on_its_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_orm(tmp_path / "store.db")
    with open_source(store, copies=tmp_path) as source:
        shape = inspect(source.connection)
    spy = tmp_path / "python"
    spy.write_text(f'#!/bin/sh\n{{ env; echo "$@"; }} > {tmp_path}/seen\n')
    spy.chmod(0o700)
    monkeypatch.setenv("NETRAVEN_ENCRYPTION_KEY", "CANARY")
    monkeypatch.setattr(sys, "executable", str(spy))
    with (
        pytest.raises(SnapshotNotProven, match="ended with 0 and no answer"),
        reading_back(store, shape, KEY, own_process_bytes=0) as found,
    ):
        found()
    seen = (tmp_path / "seen").read_text()
    assert "reopen" in seen
    assert "CANARY" not in seen
    assert KEY.hex() not in seen


def test_a_reading_process_that_dies_before_it_reads_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request stayed in the pipe's buffer, and closing the pipe raised BrokenPipeError over the answer."""

    class Slow(dict):
        """Written so late that the process has ended by then."""

        def items(self):
            time.sleep(0.5)
            return super().items()

    class SlowShape(SourceShape):
        def as_json(self):
            return Slow(super().as_json())

    shape = SlowShape("orm", {})
    (tmp_path / "python").write_text("#!/bin/sh\nexit 9\n")
    (tmp_path / "python").chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with (
        pytest.raises(SnapshotNotProven, match="ended with 9 and no answer"),
        reading_back(make_orm(tmp_path / "store.db"), shape, KEY, own_process_bytes=0) as found,
    ):
        found()


def test_without_a_process_of_its_own_the_copy_is_read_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_orm(tmp_path / "store.db")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    snapshot = take_snapshot(store, tmp_path / "backups", KEY, now, "run", own_process_bytes=0)
    assert snapshot.manifest.counts["credentials"] == 3


def test_the_reading_process_tells_a_damaged_copy(tmp_path: Path) -> None:
    store = make_orm(tmp_path / "store.db")
    with open_source(store, copies=tmp_path) as source:
        shape = inspect(source.connection)
    store.write_bytes(b"CANARY" * 2000)
    with (
        pytest.raises(SnapshotNotProven, match="SQLITE_NOTADB") as error,
        reading_back(store, shape, KEY, own_process_bytes=0) as found,
    ):
        found()
    assert "CANARY" not in str(error.value)


def test_the_core_of_the_reading_process_needs_the_standard_library_alone() -> None:
    script = "import sys, credstore_pipeline.core.source.reopen; print(*{m.split('.')[0] for m in sys.modules})"
    root = Path(__file__).parents[3]
    command = [sys.executable, "-S", "-P", "-c", script]
    loaded = subprocess.run(command, env={"PYTHONPATH": str(root)}, capture_output=True, text=True, check=True).stdout
    assert set(loaded.split()) <= set(sys.stdlib_module_names) | {"credstore_pipeline", "__main__"}


@pytest.fixture
def five(tmp_path: Path) -> tuple[Path, list[str]]:
    store = make_orm(tmp_path / "store.db")
    backups = tmp_path / "backups"
    moments = iter(datetime(2025, 4, 3, hour, tzinfo=UTC) for hour in range(24))
    return backups, [take_snapshot(store, backups, KEY, moments.__next__, f"run-{i}").name for i in range(5)]


def test_names_are_given_oldest_first(five: tuple[Path, list[str]]) -> None:
    backups, names = five
    assert snapshot_names(backups) == names
    assert snapshot_names(backups / "nowhere") == []


def test_the_oldest_go_beyond_keep(five: tuple[Path, list[str]]) -> None:
    backups, names = five
    assert prune(backups, 2, set) == names[:3]
    assert sorted(p.name for p in backups.iterdir()) == names[3:]


def test_protected_ones_never_go(five: tuple[Path, list[str]]) -> None:
    backups, names = five
    assert prune(backups, 0, lambda: {names[0], names[2]}) == [names[1], names[3], names[4]]
    assert snapshot_names(backups) == [names[0], names[2]]


def test_one_that_becomes_protected_meanwhile_stays(five: tuple[Path, list[str]]) -> None:
    backups, names = five
    answers = iter([{names[0]}, {names[0], names[1]}, {names[1], names[2]}])
    assert prune(backups, 2, answers.__next__) == []


@pytest.mark.parametrize("keep", [5, 6, 1000])
def test_nothing_goes_while_there_are_not_too_many(five: tuple[Path, list[str]], keep: int) -> None:
    backups, names = five
    assert prune(backups, keep, set) == []
    assert snapshot_names(backups) == names


def test_other_files_in_the_folder_stay(five: tuple[Path, list[str]]) -> None:
    backups, _ = five
    make_file(backups / "mine.db", "CREATE TABLE t (x)")
    (backups / "notes").mkdir()
    prune(backups, 0, set)
    assert sorted(p.name for p in backups.iterdir()) == ["mine.db", "notes"]


def test_a_discarded_snapshot_is_gone_and_may_be_gone_already(five: tuple[Path, list[str]]) -> None:
    backups, names = five
    discard(backups, names[1])
    discard(backups, names[1])
    assert snapshot_names(backups) == [names[0], *names[2:]]
