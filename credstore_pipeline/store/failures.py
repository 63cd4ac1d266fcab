"""What a driver's error means to a caller of the store: class, evidence, and what to do."""

import psycopg2
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from credstore_pipeline.core.errors import CredstoreError, TargetError
from credstore_pipeline.core.target.failures import translate
from credstore_pipeline.store.errors import (
    NOTHING_CHANGED,
    AlreadyThere,
    PoolFull,
    StatementTimeout,
    TablesMissing,
    ValueRefused,
)

DRIVER_ERRORS = (SQLAlchemyError, psycopg2.Error, ValueError)
"""Everything that the driver and SQLAlchemy raise; their texts may quote rows. A ValueError is a text that cannot be
sent."""

_TABLES = "Call initialize(), migrate a store into this database, or mend the URL or the schema."
_KINDS: dict[str, type[TargetError]] = {
    "42P01": TablesMissing,
    "3F000": TablesMissing,
    "57014": StatementTimeout,
}
_TODO = {
    None: "Is the server running? Check POSTGRES_HOST and POSTGRES_PORT, or the URL.",
    "28000": "Check POSTGRES_USER, POSTGRES_DB, or the URL, and the server's pg_hba.conf.",
    "28P01": "Check POSTGRES_USER and POSTGRES_PASSWORD, or the URL.",
    "3D000": "Create the database, or mend POSTGRES_DB or the URL.",
    "3F000": _TABLES,
    "42P01": _TABLES,
    "42703": "The tables are not the application's; initialize() says what differs.",
    "22001": "Shorten it; a password may have at most 479 bytes of UTF-8 where the column is varchar(1024).",
    "23503": "Something else refers to it, or it was deleted meanwhile.",
    "53300": "Lower pool_size and max_overflow of the stores, or raise the server's max_connections.",
    "57014": "Somebody cancelled it, or it took longer than StoreSettings.statement_timeout_s.",
    "25P03": "Set idle_in_transaction_session_timeout to 0 for this role.",
}
_AGAIN = "Try again."


def store_failure(error: Exception, where: str) -> CredstoreError:
    """Say what an error means without its words; the caller raises the result `from None`.

    Args:
        error: One of DRIVER_ERRORS.
        where: The operation and, where there is one, the row's id.
    """
    if isinstance(error, PoolTimeout):
        return PoolFull(
            where,
            "every connection of the pool is in use.",
            state=NOTHING_CHANGED,
            todo="Try again, or raise pool_size, max_overflow or pool_timeout_s of StoreSettings.",
        )
    if isinstance(error, ValueError):
        return ValueRefused(where, "a text holds a NUL or half a surrogate pair.", state=NOTHING_CHANGED)
    known = translate(error, where, state=NOTHING_CHANGED)
    sqlstate = known.sqlstate
    todo = _TODO.get(sqlstate) or _TODO.get((sqlstate or "")[:2]) or _AGAIN
    if sqlstate == "23505":
        return AlreadyThere(where, known.wrong, state=NOTHING_CHANGED, todo="Choose another name or id.")
    if (sqlstate or "")[:2] == "22":
        return ValueRefused(where, known.wrong, state=NOTHING_CHANGED, todo=todo)
    kind = _KINDS.get(sqlstate or "", type(known))
    return kind(where, known.wrong, sqlstate=sqlstate, state=NOTHING_CHANGED, todo=todo)


def leaves_open(error: Exception) -> bool:
    """Tell whether an error of COMMIT leaves open what became of the transaction."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    sqlstate = cause.pgcode if isinstance(cause, psycopg2.Error) else None
    # Any other SQLSTATE is the server's word that it has rolled back.
    return sqlstate is None or sqlstate[:2] in ("08", "57", "58", "XX")
