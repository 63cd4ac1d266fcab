"""What schedule, sensor and checks ask the target for before they act."""

from dataclasses import dataclass

from credstore_pipeline.core.cutover.record import Cutover, standing_cutover
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load.ledger import LastLoad, open_books
from credstore_pipeline.core.target.connect import make_engine, transaction
from credstore_pipeline.core.target.retry import retrying
from credstore_pipeline.core.waiting import Waiting, waiting


@dataclass(frozen=True)
class State:
    """Where the move stands.

    Attributes:
        last: The load committed last; None before the first.
        cutover: The cutover that stands, if one does.
        waiting: What waits for a person; None before the first load.
    """

    last: LastLoad | None
    cutover: Cutover | None
    waiting: Waiting | None


def state_of(deployment: Deployment, ring: KeyRing, asker: str) -> State:
    """Ask the target once.

    Args:
        deployment: Whose target.
        ring: Must unwrap its data key.
        asker: Shown to the database's operator as `application_name`.

    Raises:
        TargetKeyChanged: If the target is sealed under a key that was not given.
        TargetError: If it cannot be asked.
    """
    engine = make_engine(deployment.target, asker)

    def ask() -> State:
        with transaction(engine, asker) as connection:
            books = open_books(connection, ring)
            if books.last is None:
                return State(None, None, None)
            return State(books.last, standing_cutover(connection), waiting(connection))

    return retrying(ask)
