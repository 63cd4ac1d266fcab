"""What may be stored: checked before it is sent, so that nothing is cut, bent or quoted by an error."""

import math
import re

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute

from credstore_pipeline.store.errors import NOTHING_CHANGED, ValueRefused

_COLOR = re.compile(r"#[0-9A-Fa-f]{6}")


def checked_text(
    column: "InstrumentedAttribute[str] | InstrumentedAttribute[str | None]", value: str, *, may_be_empty: bool = True
) -> str:
    """Return the text as it is, if the column can hold it as it is.

    PostgreSQL cuts blanks beyond a column's length without a word, so the length is checked here.

    Raises:
        ValueRefused: If it is empty and must not be, too long, or holds what PostgreSQL cannot store.
    """
    where = f"{column.class_.__table__.name}.{column.key}"
    if not isinstance(value, str):
        raise _refused(where, f"it is no text but {type(value).__name__}.")
    if not value and not may_be_empty:
        raise _refused(where, "it is empty.")
    limit = column.type.length if isinstance(column.type, sa.String) else None
    if limit is not None and len(value) > limit:
        raise _refused(where, f"it has {len(value)} characters, and at most {limit} fit.")
    _check_characters(where, value)
    if "\0" in value:
        raise _refused(where, "it holds a NUL.")
    return value


def checked_color(value: str) -> str:
    """Return a colour as the application's interface demands it: `#6366F1`.

    Raises:
        ValueRefused: If it is written in another way.
    """
    if not isinstance(value, str) or not _COLOR.fullmatch(value):
        raise _refused("tags.color", "it is not # and six hexadecimal digits.")
    return value


def checked_priority(value: float) -> float:
    """Return a priority as a finite number.

    Raises:
        ValueRefused: If it is none; NaN would stand above every other.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise _refused("credential_tags.priority", "it is no finite number.")
    return float(value)


def checked_limit(value: int, what: str) -> int:
    """Return a number of rows, zero or more.

    Raises:
        ValueRefused: If it is negative or no whole number.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _refused(what, "it is no whole number from 0 on.")
    return value


def checked_password(value: str) -> bytes:
    """Return a password as UTF-8; NULs and blanks are part of it.

    Raises:
        ValueRefused: If it is no text, or holds half a surrogate pair.
    """
    if not isinstance(value, str):
        raise _refused("credentials.password", f"it is no text but {type(value).__name__}.")
    _check_characters("credentials.password", value)
    return value.encode()


def _check_characters(where: str, value: str) -> None:
    # Not raised while the encoder's error is handled: that one holds the text, and would go along as context.
    if not _has_utf8(value):
        raise _refused(where, "it holds half a surrogate pair.")


def _has_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refused(where: str, wrong: str) -> ValueRefused:
    return ValueRefused(where, wrong, state=NOTHING_CHANGED)
