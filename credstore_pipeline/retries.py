"""Which run a run goes on with: a retry of what failed takes up what an earlier run staged, under that run's id."""

import dagster as dg

SNAPSHOT = dg.AssetKey(["backup", "snapshot"])
_SNAPSHOT_STEP = "__".join(SNAPSHOT.path)


def run_of_snapshot(run: dg.DagsterRun, instance: dg.DagsterInstance) -> str:
    """The run that took the snapshot on which this one works: itself, or of a retry from failure an earlier one.

    Not Dagster's root run: that stays the same when all steps are executed again, with a snapshot of their own. What
    such a run loads would pass for loaded already, by the run that is executed again.
    """
    while run.parent_run_id and not _takes_snapshot(run, instance):
        parent = instance.get_run_by_id(run.parent_run_id)
        if parent is None:  # its record was removed
            return run.parent_run_id
        run = parent
    return run.run_id


def _takes_snapshot(run: dg.DagsterRun, instance: dg.DagsterInstance) -> bool:
    # Its plan alone tells for certain: what a run selects stands in several places, and may mean all where it is empty.
    plan = run.execution_plan_snapshot_id
    return plan is None or _SNAPSHOT_STEP in instance.get_execution_plan_snapshot(plan).step_keys_to_execute
