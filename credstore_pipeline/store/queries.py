"""The statements that select credentials by tag; built once, since to build one takes longer than to run it."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from credstore_pipeline.store.credentials import INFO
from credstore_pipeline.store.models import (
    LINK_FAILURES,
    LINK_SUCCESSES,
    OLDEST_FIRST,
    PRIORITY,
    AssociationRow,
    CredentialRow,
)
from credstore_pipeline.store.scores import ATTEMPTS, smart_score


def _tagged() -> sa.Executable:
    tag_ids = sa.cast(sa.bindparam("tag_ids"), ARRAY(sa.Text))
    return (
        sa.select(
            *INFO,
            CredentialRow.password,
            AssociationRow.tag_id,
            PRIORITY.label("priority"),
            LINK_SUCCESSES.label("wins"),
            LINK_FAILURES.label("losses"),
        )
        .join_from(AssociationRow, CredentialRow, AssociationRow.credential_id == CredentialRow.id)
        .where(AssociationRow.tag_id == sa.any_(tag_ids))
        .order_by(PRIORITY.desc(), *OLDEST_FIRST, AssociationRow.tag_id, AssociationRow.id)
        .limit(sa.bindparam("most", type_=sa.Integer))
    )


def _ranked() -> sa.Executable:
    place = sa.func.row_number().over(partition_by=CredentialRow.id, order_by=(PRIORITY.desc(), AssociationRow.id))
    scored = (
        sa.select(
            CredentialRow.id,
            CredentialRow.created_at,
            AssociationRow.last_success,
            PRIORITY.label("priority"),
            smart_score().label("score"),
            LINK_SUCCESSES.label("successes"),
            ATTEMPTS.label("attempts"),
            place.label("place"),
        )
        .join_from(AssociationRow, CredentialRow, AssociationRow.credential_id == CredentialRow.id)
        .where(AssociationRow.tag_id == sa.bindparam("tag_id"))
        .subquery("scored")
    )
    best = scored.c
    return (
        sa.select(
            CredentialRow.id,
            CredentialRow.name,
            CredentialRow.username,
            CredentialRow.password,
            sa.func.coalesce(CredentialRow.use_keys, sa.false()).label("use_keys"),
            CredentialRow.key_file,
            best.priority,
            best.score,
            best.successes,
            best.attempts,
            best.last_success,
        )
        .join_from(scored, CredentialRow, best.id == CredentialRow.id)
        .where(best.place == 1)
        .order_by(best.score.desc(), best.priority.desc(), *OLDEST_FIRST)
        .limit(sa.bindparam("most", type_=sa.Integer))
    )


TAGGED = _tagged()
"""The associations of the tags `tag_ids` with their credentials, the best priority first; at most `most` rows, all if
that is NULL."""

RANKED = _ranked()
"""The credentials of the tag `tag_id`, each once, the highest score first; at most `most`, all if that is NULL."""
