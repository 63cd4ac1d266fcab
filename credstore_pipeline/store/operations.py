"""What every group of operations stands on, and how rows are found and held."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from credstore_pipeline.store.errors import NOTHING_CHANGED, NotFound
from credstore_pipeline.store.models import CredentialRow, TagRow
from credstore_pipeline.store.transactions import Transactions
from credstore_pipeline.store.vault import Vault

BATCH_ROWS = 1_000
"""Rows in one statement of a bulk operation."""

_SHOWN = 8
Item = TypeVar("Item")


class Link(NamedTuple):
    """A credential under a tag, and its priority there; the highest is tried first."""

    credential_id: str
    tag_id: str
    priority: float = 0.0


class Operations:
    """Transactions and a vault; the operations themselves are in the subclasses."""

    def __init__(self, transactions: Transactions, vault: Vault) -> None:
        """Hold what operations need."""
        self._transactions, self._vault = transactions, vault


def batches(items: Iterable[Item], rows: int = BATCH_ROWS) -> Iterator[list[Item]]:
    """Yield lists of at most that many items."""
    rest = iter(items)
    while batch := list(islice(rest, rows)):
        yield batch


def given(*columns: tuple[str, type[sa.types.TypeEngine[Any]], Sequence[object]]) -> sa.TableValuedAlias:
    """Return rows of ours as a table named `given`; one array a column, however many rows there are.

    Args:
        columns: Name, type and values of each.
    """
    arrays = [sa.cast(list(values), ARRAY(type_)) for _, type_, values in columns]
    names = [sa.column(name, type_) for name, type_, _ in columns]
    return sa.func.unnest(*arrays).table_valued(*names, name="given").render_derived()


def hold_credentials(session: Session, ids: Collection[str]) -> None:
    """Lock credentials until the transaction ends: nobody deletes them or changes their associations meanwhile.

    Raises:
        NotFound: If one of them does not exist.
    """
    # In one order for everybody, so that two of these never wait for each other.
    for batch in batches(sorted(set(ids))):
        wanted = (
            sa.select(CredentialRow.id).where(CredentialRow.id == sa.any_(_array(batch))).order_by(CredentialRow.id)
        )
        found = session.scalars(wanted.with_for_update(key_share=True)).all()
        require("credentials", batch, found)


def hold_tags(session: Session, ids: Collection[str]) -> None:
    """Lock tags until the transaction ends: nobody deletes them meanwhile; where tables have no key on them, too.

    Raises:
        NotFound: If one of them does not exist.
    """
    for batch in batches(sorted(set(ids))):
        wanted = sa.select(TagRow.id).where(TagRow.id == sa.any_(_array(batch))).order_by(TagRow.id)
        found = session.scalars(wanted.with_for_update(read=True, key_share=True)).all()
        require("tags", batch, found)


def _array(ids: list[str]) -> sa.ColumnElement[Any]:
    # One value however many there are, so that the statement is compiled once.
    return sa.cast(ids, ARRAY(sa.Text))


def require(table: str, wanted: Sequence[str], found: Collection[str]) -> None:
    """Let pass what was found in full.

    Raises:
        NotFound: Naming the ids that are missing.
    """
    missing = sorted(set(wanted) - set(found))
    if missing:
        shown = ", ".join(missing[:_SHOWN]) + (f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else "")
        raise NotFound(f"{table} id={shown}", "does not exist.", state=NOTHING_CHANGED)
