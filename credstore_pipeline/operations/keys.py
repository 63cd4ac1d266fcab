"""Jobs `rotate_target_key` and `key_retirement`."""

import dagster as dg

from credstore_pipeline.core.rotation.retirement import key_retirement
from credstore_pipeline.core.rotation.rotate import rotate_target_key
from credstore_pipeline.operations.work import operation
from credstore_pipeline.resources import Credstore

RESTART = "Readers must restart with the new key: set NETRAVEN_ENCRYPTION_KEY to it where the application runs."


@dg.op(name="rotate", out=dg.Out(dg.Nothing))
def rotate_op(context: dg.OpExecutionContext, credstore: Credstore) -> None:
    """Seal every password of the target under CREDSTORE_TARGET_KEY, in one transaction."""
    with operation(context, credstore, "The target is as it was.") as work:
        done = rotate_target_key(work.deployment, work.ring, work.run_id, work.log)
        work.stands(f"The passwords are sealed under the new key, and stay so. {RESTART}")
        if done.unopened:
            context.log.warning(
                "No key opens %d passwords; they are left: id %s", len(done.unopened), done.unopened[:10]
            )
        work.done(
            f"{done.resealed} passwords were sealed anew, {done.already} stood under the target key. {RESTART}",
            {
                "resealed": done.resealed,
                "already": done.already,
                "plaintext": done.plaintext,
                "not_opened": len(done.unopened),
                "snapshots_known_again": done.manifests,
                "next": RESTART,
            },
            by_former_key=[{"key": key, "rows": rows} for key, rows in done.by_key.items()],
        )


@dg.op(name="account", out=dg.Out(dg.Nothing))
def account_op(context: dg.OpExecutionContext, credstore: Credstore) -> None:
    """Count which keys open what, in each store; writes nothing."""
    with operation(context, credstore, "Nothing was written.") as work:
        found = key_retirement(work.deployment, work.ring, work.run_id)
        for row in found.rows:
            work.log(f"{row['store']}: {row['key']} ({row['derivation'] or 'no key'}): {row['rows']} rows")
        work.done(
            f"Nothing needs {', '.join(found.retirable)}." if found.retirable else "Every given key is needed.",
            {"can_be_retired": ", ".join(found.retirable) or "none"},
            needed=found.rows,
        )


@dg.job(
    name="rotate_target_key",
    description="Seal every password of the target, the pipeline's and the application's, under a changed "
    "CREDSTORE_TARGET_KEY. The former one must be among the source keys. Running it again writes nothing.",
)
def rotate_target_key_job() -> None:
    """One op."""
    rotate_op()


@dg.job(
    name="key_retirement",
    description="Which keys are still needed, by how many rows, in which store. Writes nothing.",
)
def key_retirement_job() -> None:
    """One op."""
    account_op()
