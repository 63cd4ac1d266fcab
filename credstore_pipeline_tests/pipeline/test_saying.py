"""What the load says when its report cannot be written: the disk may be full just after the commit."""

import shutil
import threading

from credstore_pipeline_tests.core.target.ddl import W5FF43A7
from credstore_pipeline_tests.pipeline.flow import session
from credstore_pipeline_tests.pipeline.test_concurrency import await_blocked, runs, stop_loads_half_way


def test_a_load_that_cannot_be_reported_fails_and_is_said_to_stand(lab):
    """Found saying "The target is unchanged" of a load that was committed."""
    at = lab("web")
    at.sql(W5FF43A7.replace("{schema}", "public"))
    ended = []
    with session(at.database) as application:
        stop_loads_half_way(application)
        running = threading.Thread(target=lambda: ended.append(at.run()))
        running.start()
        (run_id,) = await_blocked(at)
        shutil.rmtree(at.home / "reports" / run_id)
        (at.home / "reports" / run_id).write_text("in the way")
    running.join()
    (run,) = ended
    assert not run.success
    assert runs(at) == [run.run_id]
    assert "postgres: The load is committed and proven, and stands." in run.failure
    assert "unchanged" not in run.failure
