"""How far a long stage is stands in the run's log, where the UI shows it."""

import pytest

from credstore_pipeline.core.progress import EVERY_S, Progress, read_progress


@pytest.mark.ci
def test_a_long_stage_says_in_the_runs_log_how_far_it_is(lab, monkeypatch):
    assert 1 <= EVERY_S <= 10
    # As often as a store of millions is long.
    monkeypatch.setitem(Progress.__init__.__kwdefaults__, "every_s", 0.01)
    at = lab("big", credentials=12_000)
    rows = len(at.store.expected["credentials"]) if "credentials" in at.store.expected else 12_000
    run = at.run("preflight")
    assert run.success, run.failure
    read = [found for found in map(read_progress, run.log) if found]
    opening = [found for found in read if found.what == "Opening and sealing passwords"]
    assert len(opening) >= 2
    done = [found.done for found in opening]
    assert done == sorted(done)
    assert {found.total for found in opening} == {rows}
    (line, *_) = [line for line in run.log if read_progress(line)]
    assert line.endswith(" s left")
    assert " rows/s, " in line
