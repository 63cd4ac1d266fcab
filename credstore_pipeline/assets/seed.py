"""`seed/*`: what a fresh installation starts with; only where it is asked for."""

from collections.abc import Callable

import dagster as dg

from credstore_pipeline.assets.load import POSTGRES
from credstore_pipeline.boundary import told
from credstore_pipeline.core.seeding.plan import Seeding
from credstore_pipeline.core.seeding.seed import Seeded, seed_credentials, seed_tags
from credstore_pipeline.resources import Credstore
from credstore_pipeline.retries import run_of_snapshot

TAGS = dg.AssetKey(["seed", "default_tags"])
CREDENTIALS = dg.AssetKey(["seed", "default_credentials"])

JOBS = ("seed_default_tags", "seed_default_credentials")
"""The jobs that ask for it by being launched."""

NOT_ASKED = f"Not asked: launch the job {' or '.join(JOBS)}, or set CREDSTORE_SEED=true."


@dg.asset(key=TAGS, deps=list(POSTGRES.values()), group_name="seed", kinds={"postgres"})
def seed_default_tags(context: dg.AssetExecutionContext, credstore: Credstore) -> dg.MaterializeResult:
    """Have the application's default tags there, and those of CREDSTORE_SEED_FILE, by their names.

    A tag that is there is never changed; one that was deleted after it was seeded is not made again.
    """
    return _seed(context, credstore, "seed/default_tags", seed_tags)


@dg.asset(key=CREDENTIALS, deps=[TAGS, *POSTGRES.values()], group_name="seed", kinds={"postgres"})
def seed_default_credentials(context: dg.AssetExecutionContext, credstore: Credstore) -> dg.MaterializeResult:
    """Put Admin, Backup and Monitor on each default tag, where a password is given and the store has no credential.

    No password is built in, and the application's published defaults are refused.
    """
    return _seed(context, credstore, "seed/default_credentials", seed_credentials)


def _seed(
    context: dg.AssetExecutionContext, credstore: Credstore, name: str, work: Callable[[Seeding, str], Seeded]
) -> dg.MaterializeResult:
    with told(name):
        seeding = credstore.seeding()
        asked = context.run.job_name in JOBS or seeding.asked is True
        run_id = run_of_snapshot(context.run, context.instance)
        done = work(seeding, run_id) if asked else Seeded(NOT_ASKED, {})
    context.log.info("%s", done.text)
    return dg.MaterializeResult(metadata={"asked": asked, "outcome": done.text, **done.numbers})
