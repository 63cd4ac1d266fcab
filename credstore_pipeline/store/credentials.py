"""Credentials: added, read, changed, deleted."""

import uuid
from collections.abc import Iterable
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from credstore_pipeline.store.models import CHANGED_AT, FAILURES, STATED_AT, SUCCESSES, AssociationRow, CredentialRow
from credstore_pipeline.store.operations import Operations, hold_tags
from credstore_pipeline.store.records import Credential, CredentialInfo
from credstore_pipeline.store.values import checked_limit, checked_text

INFO = (
    CredentialRow.id,
    CredentialRow.name,
    CredentialRow.username,
    CredentialRow.description,
    sa.func.coalesce(CredentialRow.use_keys, sa.false()),
    CredentialRow.key_file,
    SUCCESSES,
    FAILURES,
    CredentialRow.last_used,
    CredentialRow.last_success,
    CredentialRow.last_failure,
    CredentialRow.created_at,
    CredentialRow.updated_at,
)
"""What CredentialInfo is made of, in its order."""


# Built once: to build a statement takes longer than to run it.
_BY_ID = sa.select(*INFO, CredentialRow.password).where(CredentialRow.id == sa.bindparam("wanted_id"))

Kind = TypeVar("Kind", bound=CredentialInfo)


class CredentialOperations(Operations):
    """Operations on credentials."""

    def add_credential(
        self,
        name: str,
        username: str,
        password: str | None = None,
        use_keys: bool = False,
        key_file: str | None = None,
        description: str | None = None,
        tags: Iterable[str] | None = None,
    ) -> str:
        """Store a credential with its associations, at priority 0, and return its id.

        Args:
            name: What people call it; not unique.
            username: For the login.
            password: Sealed before it is sent; None and '' are no password.
            use_keys: Whether the login is by key.
            key_file: Path of that key.
            description: For people.
            tags: Ids of tags; each one once, however often it is given.

        Raises:
            NotFound: If a tag does not exist; then nothing is stored.
            ValueRefused: If a value does not fit its column.
        """
        credential_id = str(uuid.uuid4())
        tag_ids = sorted(set(tags or ()))
        values: dict[str, Any] = {
            "id": credential_id,
            "name": checked_text(CredentialRow.name, name, may_be_empty=False),
            "username": checked_text(CredentialRow.username, username),
            "password": self._vault.seal(password),
            "use_keys": bool(use_keys),
            "key_file": None if key_file is None else checked_text(CredentialRow.key_file, key_file),
            "description": None if description is None else checked_text(CredentialRow.description, description),
        }

        def add(session: Session) -> None:
            hold_tags(session, tag_ids)
            session.add(CredentialRow(**values, **_unused()))
            session.flush()
            session.add_all(
                AssociationRow(id=str(uuid.uuid4()), credential_id=credential_id, tag_id=tag, priority=0.0, **_unused())
                for tag in tag_ids
            )

        self._transactions.write("adding a credential", add)
        return credential_id

    def get_credential(self, credential_id: str) -> Credential | None:
        """Return a credential with its password opened; None if there is no such id.

        Raises:
            SecretUnopenable: If no key of the store opens the password. Never returns ciphertext.
        """
        row = self._transactions.read(
            f"credentials id={credential_id}",
            lambda session: session.connection().execute(_BY_ID, {"wanted_id": credential_id}).one_or_none(),
        )
        return None if row is None else credential_of(Credential, row, self._vault.open(row.password, credential_id))

    def list_credentials(self, skip: int = 0, limit: int = 100, *, after: str | None = None) -> list[CredentialInfo]:
        """Return one page of credentials without their passwords, ordered by id.

        Args:
            skip: How many to pass over.
            limit: How many at most.
            after: The last id of the page before. Unlike `skip` it costs the same for every page, and no row is
                seen twice or missed when others come and go meanwhile.
        """
        page = sa.select(*INFO).order_by(CredentialRow.id)
        page = page.offset(checked_limit(skip, "skip")).limit(checked_limit(limit, "limit"))
        if after is not None:
            page = page.where(CredentialRow.id > after)
        rows = self._transactions.read("listing credentials", lambda session: session.execute(page).all())
        return [credential_of(CredentialInfo, row) for row in rows]

    def update_credential(
        self,
        credential_id: str,
        *,
        name: str | None = None,
        username: str | None = None,
        password: str | None = None,
        use_keys: bool | None = None,
        key_file: str | None = None,
        description: str | None = None,
    ) -> CredentialInfo | None:
        """Change what is given and return the credential as it is then; None if there is no such id.

        None leaves a value as it is. '' clears a password, a key file or a description.

        Raises:
            ValueRefused: If a value does not fit its column.
        """
        changes: dict[str, Any] = {}
        if name is not None:
            changes["name"] = checked_text(CredentialRow.name, name, may_be_empty=False)
        if username is not None:
            changes["username"] = checked_text(CredentialRow.username, username)
        if password is not None:
            changes["password"] = self._vault.seal(password)
        if use_keys is not None:
            changes["use_keys"] = bool(use_keys)
        if key_file is not None:
            changes["key_file"] = checked_text(CredentialRow.key_file, key_file) or None
        if description is not None:
            changes["description"] = checked_text(CredentialRow.description, description) or None
        where = f"credentials id={credential_id}"
        if changes:
            change = (
                sa.update(CredentialRow)
                .where(CredentialRow.id == credential_id)
                .values(**changes, updated_at=CHANGED_AT)
                .returning(*INFO)
            )
            row = self._transactions.write(where, lambda session: session.execute(change).one_or_none())
        else:
            wanted = sa.select(*INFO).where(CredentialRow.id == credential_id)
            row = self._transactions.read(where, lambda session: session.execute(wanted).one_or_none())
        return None if row is None else credential_of(CredentialInfo, row)

    def delete_credential(self, credential_id: str) -> bool:
        """Delete a credential with its associations; False if there is no such id."""

        def delete(session: Session) -> bool:
            wanted = sa.select(CredentialRow.id).where(CredentialRow.id == credential_id).with_for_update()
            if session.scalar(wanted) is None:
                return False
            session.execute(sa.delete(AssociationRow).where(AssociationRow.credential_id == credential_id))
            session.execute(sa.delete(CredentialRow).where(CredentialRow.id == credential_id))
            return True

        return self._transactions.write(f"credentials id={credential_id}", delete)


def credential_of(kind: type[Kind], row: Any, *more: Any) -> Kind:
    """Return the record of a row that begins with INFO; `more` are the fields that the kind has besides."""
    return kind(*row[: len(INFO)], *more)


def _unused() -> dict[str, Any]:
    """What a new row has besides what it was given: the application's defaults."""
    return {"success_count": 0, "failure_count": 0, "created_at": STATED_AT, "updated_at": STATED_AT}
