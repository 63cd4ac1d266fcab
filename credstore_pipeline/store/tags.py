"""Tags: added, read, changed, deleted."""

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from credstore_pipeline.store.models import CHANGED_AT, STATED_AT, AssociationRow, TagRow
from credstore_pipeline.store.operations import Operations
from credstore_pipeline.store.records import Tag
from credstore_pipeline.store.values import checked_color, checked_limit, checked_text

DEFAULT_COLOR = "#6366F1"

_TAG = (TagRow.id, TagRow.name, TagRow.description, TagRow.color, TagRow.created_at, TagRow.updated_at)


class TagOperations(Operations):
    """Operations on tags."""

    def add_tag(
        self, name: str, description: str | None = None, color: str | None = DEFAULT_COLOR, *, tag_id: str | None = None
    ) -> str:
        """Store a tag and return its id.

        Args:
            name: 1 to 50 characters, unique, case counts.
            description: For people.
            color: `#` and six hexadecimal digits.
            tag_id: An id of the caller's; a random one without.

        Raises:
            AlreadyThere: If the name or the id is taken.
            ValueRefused: If a value does not fit its column.
        """
        values: dict[str, Any] = {
            "id": checked_text(TagRow.id, tag_id or str(uuid.uuid4())),
            "name": checked_text(TagRow.name, name, may_be_empty=False),
            "description": None if description is None else checked_text(TagRow.description, description),
            "color": None if color is None else checked_color(color),
        }

        def add(session: Session) -> None:
            session.add(TagRow(**values, created_at=STATED_AT, updated_at=STATED_AT))

        self._transactions.write("adding a tag", add)
        return str(values["id"])

    def get_tag(self, tag_id: str) -> Tag | None:
        """Return a tag; None if there is no such id."""
        return self._one(f"tags id={tag_id}", TagRow.id == tag_id)

    def get_tag_by_name(self, name: str) -> Tag | None:
        """Return the tag of that very name, case counts; None if there is none."""
        return self._one("looking for a tag by name", TagRow.name == name)

    def list_tags(self, skip: int = 0, limit: int | None = None) -> list[Tag]:
        """Return tags ordered by name, then id; all of them without a limit."""
        page = sa.select(*_TAG).order_by(TagRow.name, TagRow.id).offset(checked_limit(skip, "skip"))
        if limit is not None:
            page = page.limit(checked_limit(limit, "limit"))
        rows = self._transactions.read("listing tags", lambda session: session.execute(page).all())
        return [Tag(*row) for row in rows]

    def update_tag(
        self, tag_id: str, *, name: str | None = None, description: str | None = None, color: str | None = None
    ) -> Tag | None:
        """Change what is given and return the tag as it is then; None if there is no such id.

        None leaves a value as it is; '' clears the description.

        Raises:
            AlreadyThere: If another tag has the name.
            ValueRefused: If a value does not fit its column.
        """
        changes: dict[str, Any] = {}
        if name is not None:
            changes["name"] = checked_text(TagRow.name, name, may_be_empty=False)
        if description is not None:
            changes["description"] = checked_text(TagRow.description, description) or None
        if color is not None:
            changes["color"] = checked_color(color)
        if not changes:
            return self.get_tag(tag_id)
        change = sa.update(TagRow).where(TagRow.id == tag_id).values(**changes, updated_at=CHANGED_AT)
        row = self._transactions.write(
            f"tags id={tag_id}", lambda session: session.execute(change.returning(*_TAG)).one_or_none()
        )
        return None if row is None else Tag(*row)

    def delete_tag(self, tag_id: str) -> bool:
        """Delete a tag with its associations, in every version of the tables; False if there is no such id."""

        def delete(session: Session) -> bool:
            if session.scalar(sa.select(TagRow.id).where(TagRow.id == tag_id).with_for_update()) is None:
                return False
            session.execute(sa.delete(AssociationRow).where(AssociationRow.tag_id == tag_id))
            session.execute(sa.delete(TagRow).where(TagRow.id == tag_id))
            return True

        return self._transactions.write(f"tags id={tag_id}", delete)

    def _one(self, where: str, condition: sa.ColumnElement[bool]) -> Tag | None:
        wanted = sa.select(*_TAG).where(condition)
        row = self._transactions.read(where, lambda session: session.execute(wanted).one_or_none())
        return None if row is None else Tag(*row)
