"""How the store connects, waits and retries."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StoreSettings:
    """Numbers of one store; each store has one engine and one pool.

    Attributes:
        pool_size: Connections that are kept open.
        max_overflow: Connections beyond those, closed when they are given back.
        pool_timeout_s: How long an operation waits for a connection of the pool.
        connect_timeout_s: How long one attempt to connect may take.
        statement_timeout_s: How long the server may work on one statement; 0 for no limit.
        attempts: How often an operation is tried when PostgreSQL starts, restarts or rolls it back.
        retry_max_s: No attempt begins later than that after the first.
        first_wait_s: The pause after the first attempt; each further one is twice as long.
        longest_wait_s: No pause is longer than that, less the jitter.
        jitter_s: Each pause is longer by up to that much, by chance, so that clients do not come all at once.
        application_name: Shown to the database's operator.
    """

    pool_size: int = 8
    max_overflow: int = 8
    pool_timeout_s: float = 10.0
    connect_timeout_s: int = 5
    statement_timeout_s: float = 30.0
    attempts: int = 20
    retry_max_s: float = 60.0
    first_wait_s: float = 0.1
    longest_wait_s: float = 5.0
    jitter_s: float = 0.5
    application_name: str = "credstore store"
