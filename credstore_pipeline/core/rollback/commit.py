"""The commit of an exchange: from its start on, the old file goes back only if the server says that nothing came."""

from collections.abc import Callable

from sqlalchemy import Connection

from credstore_pipeline.core.cutover.record import is_cleared_by
from credstore_pipeline.core.cutover.unheard import took_place
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.errors import CommitUnknown, CredstoreError
from credstore_pipeline.core.rollback.exchange import Exchange
from credstore_pipeline.core.target.failures import commit_boundary

UNKNOWN = "The new file is in place; whether the record of the cutover is cleared is unknown."
_LOOK = (
    "`credstore status` says so when PostgreSQL answers. If the store still is cut over, launch again with "
    "allow_loss: [late_writes], which means the new file."
)
_CLEARED = "The new file is in place, and the record of the cutover is cleared, although the run was ended meanwhile."


def commit(
    connection: Connection, deployment: Deployment, run_id: str, exchange: Exchange, log: Callable[[str], None]
) -> None:
    """Commit, and find out whether it took place if the answer is lost or somebody ends the run meanwhile.

    Where nobody can say, the new file stays: it holds what PostgreSQL holds, whatever the record says, and the old
    one under a cleared record would take back what was changed since cutover.

    Args:
        connection: The rollback's transaction.
        deployment: Whose target.
        run_id: This run.
        exchange: Of the files; undone by whoever made it if this raises, unless it `stays`.
        log: Takes a line if the run is ended meanwhile.

    Raises:
        CommitUnknown: If nobody can say whether it took place.
        BaseException: What ended the run, as it came.
    """
    # Before the commit begins: an interrupt may come at any moment from here on, and the next after a success.
    exchange.stays = True
    try:
        with commit_boundary("rollback"):
            connection.commit()
    except BaseException as error:
        # Still open it would hold the lock that is asked for; lost, it thinks that it is open.
        connection.invalidate()
        connection.rollback()
        cleared = took_place(deployment, run_id, "rollback", lambda found: is_cleared_by(found, run_id))
        if cleared and isinstance(error, CredstoreError):
            return
        if cleared is None and isinstance(error, CredstoreError):
            raise CommitUnknown("rollback", error.wrong, state=UNKNOWN, todo=_LOOK) from None
        if cleared is not False:
            log(_CLEARED if cleared else f"{UNKNOWN} {_LOOK}")
        exchange.stays = cleared is not False
        raise
