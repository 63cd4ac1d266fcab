"""Ends the runs that a code server took with it: before the next one starts, `python -m credstore_pipeline.lost_runs`.

A run is a process of the code server, and only that server notices when it is gone. Where both went together (the
machine, the container), Dagster has the run at work for ever, and with one run at a time none ever starts again.
"""

import dagster as dg
from dagster._core.storage.tags import GRPC_INFO_TAG, MAX_RETRIES_TAG

GONE = (
    "Its process is gone: the code server that ran it was stopped. What it had not committed is rolled back. "
    "Launch it again."
)


def end_lost_runs(instance: dg.DagsterInstance) -> list[str]:
    """Report each run that was at work in a code server as failed, and return their ids.

    Call it where the only code server of the instance is about to start: none of its runs can be at work then. Runs of
    a command line have no code server, and are left alone; so are runs that start or are cancelled, whose time Dagster
    watches itself. None of them is launched again by itself: the daemon would try that once, while the code server
    still starts, and whether it did would be left to chance.
    """
    at_work = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    lost = [run for run in at_work if GRPC_INFO_TAG in run.tags]
    for run in lost:
        instance.add_run_tags(run.run_id, {MAX_RETRIES_TAG: "0"})
        instance.report_engine_event(GONE, run)
        instance.report_run_failed(run)
    return [run.run_id for run in lost]


def main() -> None:
    """Say which they were on standard output."""
    with dg.DagsterInstance.get() as instance:
        for run_id in end_lost_runs(instance):
            print(
                f"credstore: run {run_id} was at work when the last code server was stopped; it has ended", flush=True
            )


if __name__ == "__main__":
    main()
