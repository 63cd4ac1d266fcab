"""What is recorded of logins, and the priorities that follow from it."""

from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from credstore_pipeline.store.models import CHANGED_AT, OLDEST_FIRST, PRIORITY, AssociationRow, CredentialRow
from credstore_pipeline.store.operations import Operations
from credstore_pipeline.store.prepared import Prepared
from credstore_pipeline.store.scores import ATTEMPTS, optimized_score
from credstore_pipeline.store.transactions import NUMBER

HIGHEST_COUNT = 2_147_483_647
"""An integer column holds no more; a counter that has got there stays."""

FIRST_PRIORITY, PRIORITY_STEP = 100.0, 10.0
OUTCOMES = ("success", "failure")
Id = sa.ColumnElement[str]


class UsageOperations(Operations):
    """Recording of successes and failures, and learning from them."""

    def update_credential_status(self, credential_id: str, tag_id: str | None = None, success: bool = True) -> bool:
        """Count one login, and note when it was: on the credential and, with a tag, on its association there.

        Counters are added to by the server, so that no increment is lost however many clients there are. Of a
        pair that stands there twice the row that selection goes by counts. If the credential is not under the
        tag (any more), the credential alone is counted.

        Returns:
            False if there is no such credential.
        """
        outcome = "success" if success else "failure"
        counting = COUNTING[outcome] if tag_id is None else COUNTING_BOTH[outcome]
        pair = {"this_credential": credential_id} | ({} if tag_id is None else {"this_tag": tag_id})

        def count(session: Session) -> bool:
            found, number = counting.run(session.connection(), pair).one()
            session.info[NUMBER] = number
            return bool(found)

        return self._transactions.write(f"credentials id={credential_id}", count)

    def optimize_credential_priorities(self, tag_id: str) -> bool:
        """Set the priorities of a tag's used credentials by how they did (docs/store.md, "Priorities from use").

        100, 90, 80 … and never below 0, the best first; those that were never tried keep theirs.

        Returns:
            True; failures raise.
        """
        used = (AssociationRow.tag_id == tag_id, ATTEMPTS > 0)

        def optimize(session: Session) -> bool:
            # In one order for everybody, so that two of these never wait for each other.
            held = sa.select(AssociationRow.id).where(*used).order_by(AssociationRow.id)
            session.execute(held.with_for_update(key_share=True))
            place = sa.func.row_number().over(order_by=(optimized_score().desc(), PRIORITY.desc(), *OLDEST_FIRST))
            ranked = (
                sa.select(AssociationRow.id, place.label("place"))
                .join_from(AssociationRow, CredentialRow, AssociationRow.credential_id == CredentialRow.id)
                .where(*used)
                .subquery("ranked")
            )
            priority: sa.ColumnElement[float] = sa.func.greatest(
                0.0, FIRST_PRIORITY - PRIORITY_STEP * (ranked.c.place - 1), type_=sa.Double()
            )
            session.execute(
                sa.update(AssociationRow)
                .where(AssociationRow.id == ranked.c.id)
                .values(priority=priority, updated_at=CHANGED_AT)
                .execution_options(synchronize_session=False)
            )
            return True

        return self._transactions.write(f"optimizing tag id={tag_id}", optimize)


def _counting(outcome: str, credential_id: Id, tag_id: Id | None = None) -> sa.Select[int, int]:
    """Return one statement that counts in one table or in both: the rows stay locked for as short as can be.

    Its row: how many credentials there were, and the transaction's number.
    """
    credential = sa.update(CredentialRow).where(CredentialRow.id == credential_id)
    counted = credential.values(_one_more(CredentialRow, outcome)).returning(CredentialRow.id).cte("counted")
    found = sa.select(sa.func.count()).select_from(counted).scalar_subquery()
    change = sa.select(found, sa.func.txid_current())
    if tag_id is None:
        return change
    # It waits for the other, so that everybody locks the credential first.
    link = _link(sa.select(counted.c.id).scalar_subquery(), tag_id)
    linked = link.values(_one_more(AssociationRow, outcome)).returning(AssociationRow.id).cte("linked")
    return change.add_cte(linked)


def _link(credential_id: Id, tag_id: Id) -> sa.Update:
    twin = aliased(AssociationRow)
    chosen = (
        sa.select(twin.id)
        .where(twin.credential_id == credential_id, twin.tag_id == tag_id)
        .order_by(sa.func.coalesce(twin.priority, 0.0).desc(), twin.id)
        .limit(1)
        .scalar_subquery()
    )
    return sa.update(AssociationRow).where(AssociationRow.id == chosen)


def _one_more(row: type[CredentialRow] | type[AssociationRow], outcome: str) -> dict[str, Any]:
    counter = getattr(row, f"{outcome}_count")
    return {
        f"{outcome}_count": sa.func.least(sa.func.coalesce(counter, 0), HIGHEST_COUNT - 1) + 1,
        "last_used": CHANGED_AT,
        f"last_{outcome}": CHANGED_AT,
        "updated_at": CHANGED_AT,
    }


COUNTING = {outcome: Prepared(partial(_counting, outcome), ["this_credential"]) for outcome in OUTCOMES}
COUNTING_BOTH = {
    outcome: Prepared(partial(_counting, outcome), ["this_credential", "this_tag"]) for outcome in OUTCOMES
}
