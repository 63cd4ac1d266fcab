"""A file has its final name when it is whole and proven, and never before; what a killed run left goes."""

import resource
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from credstore_pipeline.core.errors import Refused
from credstore_pipeline.core.unproven import give_name, unproven
from credstore_pipeline.core.upkeep import restore
from credstore_pipeline.core.watching import state_of
from credstore_pipeline_tests.pipeline.flow import flow
from credstore_pipeline_tests.window.test_rollback import back

HOLD = """
import sys, time
from pathlib import Path
from credstore_pipeline.core.unproven import unproven
with unproven(Path(sys.argv[1]), "a test", "") as path:
    path.write_text("half")
    print("written", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def copied_out(loaded):
    """Restores the snapshot last loaded: `copied_out(name)`."""
    at = loaded()
    run = flow(at)
    state = state_of(run.deployment, run.ring, "a test")

    def make(name):
        to = at.folder / "out" / name
        to.parent.mkdir(exist_ok=True)
        return to, lambda: restore(run.deployment, run.ring, state, to, None)

    return make


def killed(final):
    """A run that was killed while it made this file."""
    run = subprocess.Popen([sys.executable, "-c", HOLD, str(final)], stdout=subprocess.PIPE, text=True)
    assert run.stdout.readline() == "written\n"
    left = list(final.parent.glob(f"{final.name}-*.partial"))
    assert len(left) == 1
    # One that is at work is let be.
    with unproven(final, "a test", ""):
        assert left[0].is_dir()
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.close()
    return left[0]


@contextmanager
def files_of_at_most(most_bytes):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_whatever_step_a_restore_is_interrupted_at_nothing_lies_at_its_path(copied_out, watch):
    """Found with a kill: half a store lay there, under the name of the whole one."""
    at, interrupted = 0, True
    while interrupted:
        to, run = copied_out(f"{at}.db")
        left, interrupted, named = at, False, False

        def stop(event, arguments, to=to):
            nonlocal left, interrupted, named
            if named or interrupted:
                return
            # From its name on it is there for good.
            named = event == "os.link"
            assert not to.exists(), (event, arguments)
            if left == 0:
                interrupted = True
                raise KeyboardInterrupt
            left -= 1

        stop.then = stop
        try:
            with watch.calling(stop):
                run()
        except KeyboardInterrupt:
            assert not to.exists()
            # An empty folder at most, which goes with the next one.
            assert list(to.parent.glob(f"{at}.db*/*")) == []
        at += 1
    assert to.is_file()
    assert at > 5


def test_a_disk_that_takes_no_more_is_named_and_nothing_is_left(copied_out):
    to, run = copied_out("full.db")
    with files_of_at_most(4096), pytest.raises(Refused, match=r"refuses a file \(EFBIG\).*Nothing was written"):
        run()
    assert list(to.parent.iterdir()) == []


def test_what_a_killed_restore_left_is_gone_with_the_next(copied_out):
    to, run = copied_out("again.db")
    left = killed(to)
    assert not to.exists()
    run()
    assert not left.exists()
    assert to.is_file()


def test_a_name_that_was_taken_meanwhile_is_not_overwritten(tmp_path, watch):
    final = tmp_path / "final"

    def no_links(event, _):
        if event == "os.link":
            raise PermissionError(1, "a file system without hard links")

    no_links.then = no_links
    for hook in (None, no_links):
        final.write_text("somebody else's")
        with unproven(final, "a test", "") as path, watch.calling(hook):
            path.write_text("ours")
            with pytest.raises(Refused, match="was taken meanwhile"):
                give_name(path, final, "a test", "")
            assert final.read_text() == "somebody else's"
            final.unlink()
            give_name(path, final, "a test", "")
        assert final.read_text() == "ours"


def test_a_rollbacks_file_has_its_name_when_it_is_proven(loaded):
    """Found with a kill: a full copy that nobody had proven lay where the next run looks for a proven one."""
    at = loaded()
    to = at.folder / "back.db"
    left = killed(to)
    seen = []
    done = back(at, to=to, log=lambda line: seen.append((line, to.exists())))
    assert [there for _, there in seen] == [False, False]
    assert done.path == to
    assert [place.name for place in at.folder.glob("back.db*")] == ["back.db"]
    assert not left.exists()


def test_what_a_killed_exchange_left_is_gone_with_the_next(ended):
    at = ended()
    left = killed(at.store.path.with_name("store.db.rollback-1234abcd"))
    done = back(at, swap=True)
    assert not left.exists()
    assert sorted(place.name for place in at.store.path.parent.glob("store.db*")) == ["store.db", done.aside.name]
