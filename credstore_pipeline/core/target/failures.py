"""What PostgreSQL refuses, as evidence: SQLSTATE, table, constraint, line of a COPY.

Never its own words: they quote rows.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2 import errorcodes
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from credstore_pipeline.core.errors import (
    UNCHANGED,
    CommitUnknown,
    TargetError,
    TargetUnreachable,
    TransientTargetError,
)
from credstore_pipeline.core.target.failure_kinds import (
    CONNECTING,
    LOGIN_WORDS,
    LOST_WORDS,
    STATES,
    TRANSIENT,
    UNREACHABLE,
)

INSUFFICIENT_PRIVILEGE = "42501"
LOST = "the connection was lost."
LOST_TODO = "Is the server running, and the network up? Run again: a run takes up where the database stands."


@contextmanager
def boundary(where: str, *, state: str = UNCHANGED) -> Iterator[None]:
    """Let no error of a driver out of the block: what leaves it is ours, and holds evidence alone.

    Args:
        where: What the block does: a stage, a table.
        state: What state the data is in if the block fails.

    Raises:
        TransientTargetError: If trying again may help.
        TargetUnreachable: If there is no connection to be had.
        TargetError: For everything else that the database or its driver refuses.
    """
    try:
        yield
    except (SQLAlchemyError, psycopg2.Error, UnicodeError) as error:
        raise translate(error, where, state=state) from None


@contextmanager
def commit_boundary(where: str) -> Iterator[None]:
    """As `boundary`, around a COMMIT alone: a connection lost there leaves open whether it took place.

    Raises:
        CommitUnknown: If the answer never came.
        TargetError: If the answer was no.
    """
    try:
        yield
    except (SQLAlchemyError, psycopg2.Error) as error:
        failure = translate(error, where)
        if _unheard(error, failure):
            failure = CommitUnknown(
                where,
                "the connection was lost during COMMIT.",
                sqlstate=failure.sqlstate,
                state="Whether the target was changed is unknown.",
                todo="Run again: the next attempt looks for this run in credstore_sync.runs first.",
            )
        raise failure from None


def _unheard(error: Exception, failure: TargetError) -> bool:
    """Whether a COMMIT's failure leaves its outcome open: only a SQLSTATE is an answer of the server's."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(cause, psycopg2.Error):
        return False  # nothing was sent
    return cause.pgcode is None or (isinstance(failure, TransientTargetError) and cause.pgcode[:2] in ("08", "57"))


def translate(error: Exception, where: str, *, state: str = UNCHANGED) -> TargetError:
    """Say what a driver's error means without its words; the caller raises the result `from None`.

    Args:
        error: Of SQLAlchemy or psycopg2, or a text that cannot be encoded.
        where: What was being done.
        state: What state the data is in now.
    """
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, UnicodeError):
        return TargetError(where, "a text cannot be sent: it holds half a surrogate pair.", state=state)
    if not isinstance(cause, psycopg2.Error):
        return TargetError(where, f"the statement could not be run ({type(cause).__name__}).", state=state)
    sqlstate = cause.pgcode
    if sqlstate is None:
        return _without_sqlstate(cause, where, state)
    wrong, todo = STATES.get(sqlstate) or STATES.get(sqlstate[:2]) or ("PostgreSQL refused.", "")
    if sqlstate == INSUFFICIENT_PRIVILEGE:
        statement = error.statement if isinstance(error, DBAPIError) else None
        wrong = f"a right is missing: {missing_right(cause.diag.message_primary, statement)}"
    kind = UNREACHABLE.get(sqlstate, TargetError)
    if sqlstate in TRANSIENT or sqlstate[:2] in TRANSIENT:
        kind = TransientTargetError
    return kind(where, f"{wrong.removesuffix('.')} ({evidence(cause)}).", sqlstate=sqlstate, state=state, todo=todo)


def missing_right(message: str | None, statement: str | None) -> str:
    """Name the right that a statement lacked: `UPDATE on table tags`.

    Args:
        message: The server's first line, which names an object and never a value.
        statement: What was run; only its first word is used.
    """
    owned = re.match(r"must be owner of ([a-z ]+ \w+)$", message or "")
    if owned:
        return f"being the owner of {owned[1]}"
    denied = re.match(r"permission denied (?:for|to) ([a-z ]+ \w+)$", message or "")
    place = denied[1] if denied else "an object that the server names in another language"
    if not place.startswith(("table ", "view ", "an ")):
        return f"USAGE or CREATE on {place}"
    verb = ((statement or "COPY").split(None, 1) or [""])[0].upper()
    # Whoever changes or deletes rows that a condition chooses also has to read them.
    rights = {"COPY": "INSERT", "INSERT": "INSERT", "UPDATE": "UPDATE and SELECT", "DELETE": "DELETE and SELECT"}
    if verb in ("SELECT", "WITH") and re.search(r"\bFOR (?:NO KEY )?(?:UPDATE|SHARE)\b", statement or ""):
        return f"UPDATE and SELECT on {place}"
    return f"{rights.get(verb, 'SELECT')} on {place}"


def evidence(cause: psycopg2.Error) -> str:
    """List what is safe to show of an error: `SQLSTATE 23505 unique_violation, table …, constraint …`."""
    parts = [
        f"SQLSTATE {cause.pgcode} {errorcodes.lookup(cause.pgcode).lower()}"
        if _known(cause.pgcode)
        else f"SQLSTATE {cause.pgcode}"
    ]
    diagnosis = cause.diag
    names = {
        "schema": diagnosis.schema_name,
        "table": diagnosis.table_name,
        "column": diagnosis.column_name,
        "constraint": diagnosis.constraint_name,
    }
    parts += [f"{kind} {name}" for kind, name in names.items() if name]
    # The context of a failed COPY goes on with the value, so only its beginning is read.
    line = re.match(r"COPY (\w+), line (\d+)(?:, column (\w+):)?", diagnosis.context or "")
    if line:
        parts.append(f"COPY into {line[1]}, line {line[2]}" + (f", column {line[3]}" if line[3] else ""))
    return ", ".join(parts)


def _known(sqlstate: str) -> bool:
    try:
        errorcodes.lookup(sqlstate)
    except KeyError:
        return False
    return True


def _without_sqlstate(cause: psycopg2.Error, where: str, state: str) -> TargetError:
    """Tell a failed login, which has words of the server's but no SQLSTATE, from a lost connection."""
    words = str(cause)
    connecting = CONNECTING.search(words)
    # Asked first: a lost connection speaks of SSL too, and a COMMIT that went unheard must not pass for one refused.
    if not connecting and any(sign in words for sign in LOST_WORDS):
        return TransientTargetError(where, LOST, state=state, todo=LOST_TODO)
    for sign, sqlstate, wrong, todo in LOGIN_WORDS:
        if sign in words:
            kind = TransientTargetError if sqlstate in TRANSIENT else TargetUnreachable
            return kind(where, wrong, sqlstate=sqlstate, state=state, todo=todo)
    if connecting:
        return TargetUnreachable(
            where, "the server does not answer.", state=state, todo="Check host, port and network."
        )
    return TargetError(where, f"the statement could not be run ({type(cause).__name__}).", state=state)
