"""Which credentials stand under which tags, and at which priority."""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from credstore_pipeline.store.models import (
    CHANGED_AT,
    LINK_FAILURES,
    LINK_SUCCESSES,
    PRIORITY,
    STATED_AT,
    AssociationRow,
)
from credstore_pipeline.store.operations import Link, Operations, batches, given, hold_credentials, hold_tags, require
from credstore_pipeline.store.records import Association
from credstore_pipeline.store.values import checked_priority

_ASSOCIATION = (
    AssociationRow.id,
    AssociationRow.credential_id,
    AssociationRow.tag_id,
    PRIORITY,
    LINK_SUCCESSES,
    LINK_FAILURES,
    AssociationRow.last_used,
    AssociationRow.last_success,
    AssociationRow.last_failure,
    AssociationRow.created_at,
    AssociationRow.updated_at,
)

Pair = tuple[str, str]
"""Credential id and tag id."""

Column = tuple[str, type[sa.types.TypeEngine[Any]], Sequence[object]]


class AssociationOperations(Operations):
    """Operations on associations.

    The application's tables let a pair stand there twice, and its own interface made such pairs. Each operation
    here takes all rows of a pair for one association, and makes no second row.
    """

    def associate(self, credential_id: str, tag_id: str, priority: float = 0.0) -> Association:
        """Put a credential under a tag and return the association; if it is there, its priority is set.

        Raises:
            NotFound: If the credential or the tag does not exist.
            ValueRefused: If the priority is no finite number.
        """
        return self.associate_many([Link(credential_id, tag_id, priority)])[0]

    def associate_many(self, links: Iterable[Link | Pair | tuple[str, str, float]]) -> list[Association]:
        """Put credentials under tags, all or none; returns the associations, one for each pair, in the order given.

        Args:
            links: (credential id, tag id) or (credential id, tag id, priority); of a pair that is given twice the
                last one counts.

        Raises:
            NotFound: If a credential or a tag does not exist.
            ValueRefused: If a priority is no finite number.
        """
        wanted = _by_pair(links)

        def link(session: Session) -> list[Association]:
            hold_credentials(session, {credential_id for credential_id, _ in wanted})
            hold_tags(session, {tag_id for _, tag_id in wanted})
            found: dict[Pair, Association] = {}
            for pairs in batches(wanted):
                there = _set_priorities(session, {pair: wanted[pair] for pair in pairs})
                _insert(session, {pair: wanted[pair] for pair in pairs if pair not in there})
                found |= _associations(session, pairs)
            return [found[pair] for pair in wanted]

        return self._transactions.write("associating", link)

    def dissociate(self, credential_id: str, tag_id: str) -> bool:
        """Take a credential from a tag; False if it was not there."""
        return self.dissociate_many([(credential_id, tag_id)]) == 1

    def dissociate_many(self, pairs: Iterable[Pair]) -> int:
        """Take credentials from tags, all or none; returns how many of the pairs were there."""
        wanted = sorted(set(pairs))

        def part(session: Session) -> int:
            gone: set[tuple[str, str]] = set()
            for batch in batches(wanted):
                removed = sa.delete(AssociationRow).where(_is_given(_given(batch)))
                returned = removed.returning(AssociationRow.credential_id, AssociationRow.tag_id)
                gone |= {(row.credential_id, row.tag_id) for row in session.execute(returned)}
            return len(gone)

        return self._transactions.write("dissociating", part)

    def set_priority(self, credential_id: str, tag_id: str, priority: float) -> bool:
        """Set a credential's priority under a tag; False if it is not under it.

        Raises:
            ValueRefused: If the priority is no finite number.
        """
        wanted = {(credential_id, tag_id): checked_priority(priority)}
        found = self._transactions.write("setting a priority", lambda session: _set_priorities(session, wanted))
        return bool(found)

    def set_priority_many(self, links: Iterable[Link | tuple[str, str, float]]) -> int:
        """Set the priorities of many pairs, all or none; returns how many pairs there were.

        Raises:
            NotFound: If a credential is not under its tag.
            ValueRefused: If a priority is no finite number.
        """
        wanted = _by_pair(links)

        def set_all(session: Session) -> int:
            for pairs in batches(sorted(wanted)):
                found = _set_priorities(session, {pair: wanted[pair] for pair in pairs})
                require("credential_tags", ["/".join(pair) for pair in pairs], {"/".join(pair) for pair in found})
            return len(wanted)

        return self._transactions.write("setting priorities", set_all)

    def list_associations(self, credential_id: str | None = None, tag_id: str | None = None) -> list[Association]:
        """Return the associations of a credential, of a tag, of both or of all; ordered by both ids."""
        page = sa.select(*_ASSOCIATION).order_by(
            AssociationRow.credential_id, AssociationRow.tag_id, PRIORITY.desc(), AssociationRow.id
        )
        if credential_id is not None:
            page = page.where(AssociationRow.credential_id == credential_id)
        if tag_id is not None:
            page = page.where(AssociationRow.tag_id == tag_id)
        rows = self._transactions.read("listing associations", lambda session: session.execute(page).all())
        return [Association(*row) for row in rows]


def _by_pair(links: Iterable[Link | Pair | tuple[str, str, float]]) -> dict[Pair, float]:
    named = (Link(*link) for link in links)
    return {(link.credential_id, link.tag_id): checked_priority(link.priority) for link in named}


def _insert(session: Session, wanted: dict[Pair, float]) -> None:
    if not wanted:
        return
    ids = [str(uuid.uuid4()) for _ in wanted]
    rows = _given(wanted, ("priority", sa.Double, list(wanted.values())), ("id", sa.Text, ids))
    new = {
        **{name: rows.c[name] for name in ("id", "credential_id", "tag_id", "priority")},
        **{name: sa.literal(0) for name in ("success_count", "failure_count")},
        **dict.fromkeys(("created_at", "updated_at"), STATED_AT),
    }
    session.execute(sa.insert(AssociationRow).from_select(list(new), sa.select(*new.values())))


def _set_priorities(session: Session, wanted: dict[Pair, float]) -> set[Pair]:
    """Set the priorities of the pairs that are there, and return these pairs."""
    if not wanted:
        return set()
    rows = _given(wanted, ("priority", sa.Double, list(wanted.values())))
    change = (
        sa.update(AssociationRow)
        .where(_is_given(rows))
        .values(priority=rows.c.priority, updated_at=CHANGED_AT)
        .returning(AssociationRow.credential_id, AssociationRow.tag_id)
        .execution_options(synchronize_session=False)
    )
    return {(row.credential_id, row.tag_id) for row in session.execute(change)}


def _given(pairs: Iterable[Pair], *more: Column) -> sa.TableValuedAlias:
    credential_ids, tag_ids = zip(*pairs, strict=True)
    return given(("credential_id", sa.Text, credential_ids), ("tag_id", sa.Text, tag_ids), *more)


def _is_given(rows: sa.TableValuedAlias) -> sa.ColumnElement[bool]:
    return (AssociationRow.credential_id == rows.c.credential_id) & (AssociationRow.tag_id == rows.c.tag_id)


def _associations(session: Session, pairs: Iterable[Pair]) -> dict[Pair, Association]:
    # Of a pair that stands there twice the one that selection goes by: the last one read stays.
    stored = sa.select(*_ASSOCIATION).where(_is_given(_given(pairs))).order_by(PRIORITY, AssociationRow.id.desc())
    found = (Association(*row) for row in session.execute(stored))
    return {(one.credential_id, one.tag_id): one for one in found}
