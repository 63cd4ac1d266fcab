"""Whether a commit took place whose end was never heard of: the server is asked when it has really ended."""

from collections.abc import Callable

from sqlalchemy import Connection

from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.errors import CredstoreError
from credstore_pipeline.core.target.connect import make_engine, transaction
from credstore_pipeline.core.target.lock import take_lock
from credstore_pipeline.core.target.retry import retrying

WAIT_S = 30.0
"""How long at least the server may still work on a commit before nobody knows what becomes of it."""


def took_place(deployment: Deployment, run_id: str, where: str, look: Callable[[Connection], bool]) -> bool | None:
    """Tell whether a transaction committed that held the load's lock, and whose own connection is gone.

    Args:
        deployment: Whose target.
        run_id: This run.
        where: What was committed, for the server's operator.
        look: Whether its rows are there, as another connection sees it.

    Returns:
        None if nobody can say: the server does not answer, or has not ended that transaction.
    """
    try:
        return retrying(lambda: asked(deployment, run_id, where, look), after_loss=True)
    except CredstoreError:
        return None


def asked(deployment: Deployment, run_id: str, where: str, look: Callable[[Connection], bool]) -> bool:
    """Look for what it wrote.

    Raises:
        LoadLocked: If it is not there, and the lock is not given back: it may still come.
        TargetError: If the target cannot be asked.
    """
    engine = make_engine(deployment.target, run_id).execution_options(isolation_level="READ COMMITTED")
    with transaction(engine, where, deployment.target.schema) as connection:
        if look(connection):
            return True
        # A connection that is lost on our side ends nothing over there: COMMIT may wait for a standby or a trigger,
        # and land later. Whoever works on it holds this lock until then.
        take_lock(connection, deployment.target.schema, max(deployment.policies.lock_wait_s, WAIT_S))
        return look(connection)
