"""The application's former access to its SQLite file: its queries and its ORM patterns, written anew.

A row at a time where it read a row at a time, counters read and written back, every failure turned into False.
"""

import base64
import hashlib
import json
import random
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import create_engine, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, Session, relationship

from credstore_pipeline.core.target.models import application_tables, tables_by_name

TABLES = tables_by_name(application_tables("main"))


class Base(DeclarativeBase):
    """What the models have in common."""


class Credential(Base):
    """One row of credentials."""

    __table__ = TABLES["credentials"]


class CredentialTag(Base):
    """One row of credential_tags; its credential is loaded when it is touched, with a query of its own."""

    __table__ = TABLES["credential_tags"]
    credential = relationship(Credential)


class LegacyStore:
    """The operations that are measured; each counts what SQLite refused as locked."""

    def __init__(self, path: Path, key: str) -> None:
        self._engine = create_engine(f"sqlite:///{path}")
        self._fernet = Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest()))
        self.locked = 0

    def get(self, credential_id: str) -> Any:
        """A credential by its id."""
        with Session(self._engine) as session:
            one = session.scalars(select(Credential).where(Credential.id == credential_id)).first()
            return None if one is None else self._shown(one)

    def by_tag(self, tag_id: str) -> list[Any]:
        """A tag's credentials by priority."""
        with Session(self._engine) as session:
            links = select(CredentialTag).where(CredentialTag.tag_id == tag_id).order_by(CredentialTag.priority.desc())
            return [self._shown(link.credential) | {"priority": link.priority} for link in session.scalars(links)]

    def smart(self, tag_id: str) -> list[Any]:
        """The five credentials of a tag with the best scores; every password is opened for them."""
        now = datetime(2026, 1, 1)
        with Session(self._engine) as session:
            ranked = []
            for link in session.scalars(select(CredentialTag).where(CredentialTag.tag_id == tag_id)):
                attempts = link.success_count + link.failure_count
                rate = link.success_count / attempts if attempts >= 3 else 0.5
                days = (now - link.last_success).days if link.last_success else 30
                score = 0.75 * rate + 0.15 * min(1, link.priority / 100) + 0.1 * max(0, (30 - days) / 30)
                ranked.append(self._shown(link.credential) | {"score": score})
            return sorted(ranked, key=lambda one: one["score"], reverse=True)[:5]

    def add(self, tag_id: str) -> bool:
        """A new credential under a tag; its row is committed before its association."""
        now, new = datetime(2026, 1, 1), str(uuid4())
        counters = {"success_count": 0, "failure_count": 0, "created_at": now, "updated_at": now}
        token = self._fernet.encrypt(b"a password")
        envelope = {"key_id": "default", "encrypted_data": base64.b64encode(token).decode(), "version": "1.0"}
        password = json.dumps(envelope)

        def work(session: Session) -> None:
            session.add(Credential(id=new, name="new", username="admin", password=password, **counters))
            session.commit()
            link = CredentialTag(id=str(uuid4()), credential_id=new, tag_id=tag_id, priority=0.0, **counters)
            session.add(link)

        return self._written(work)

    def status(self, credential_id: str, tag_id: str) -> bool:
        """One success: read both rows, add one, write them back."""

        def work(session: Session) -> None:
            one = session.scalars(select(Credential).where(Credential.id == credential_id)).one()
            pair = (CredentialTag.credential_id == credential_id, CredentialTag.tag_id == tag_id)
            link = session.scalars(select(CredentialTag).where(*pair)).first()
            for row in (one, link):
                row.last_used = row.last_success = datetime(2026, 1, 1, microsecond=random.randrange(10**6))  # noqa: S311  no secret
                row.success_count += 1

        return self._written(work)

    def _written(self, work: Any) -> bool:
        try:
            with Session(self._engine) as session:
                work(session)
                session.commit()
            return True
        except OperationalError:
            self.locked += 1
            return False

    def _shown(self, one: Any) -> dict[str, Any]:
        try:
            token = base64.b64decode(json.loads(one.password)["encrypted_data"])
            password = self._fernet.decrypt(token).decode()
        except (ValueError, TypeError, KeyError, InvalidToken):
            password = one.password
        return {"id": one.id, "name": one.name, "username": one.username, "password": password}
