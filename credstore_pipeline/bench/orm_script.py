"""The straightforward migration that this pipeline is compared with: one object, one session.add per row.

Opens and seals each password on the way, as any script has to, and proves nothing. Run it as
`python -m credstore_pipeline.bench.orm_script SQLITE_FILE`; the target's URL and the keys come from the environment.
"""

import base64
import hashlib
import json
import os
import sys
from datetime import datetime

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import ForeignKey, String, Text, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

COMMIT_EVERY_ROWS = 1_000


class Base(DeclarativeBase):
    """The application's tables."""


class Tag(Base):
    """A tag."""

    __tablename__ = "tags"
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True, index=True)
    description: Mapped[str | None] = mapped_column(Text)
    color: Mapped[str | None] = mapped_column(String(7))
    created_at: Mapped[datetime | None]
    updated_at: Mapped[datetime | None]


class Credential(Base):
    """A credential."""

    __tablename__ = "credentials"
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str] = mapped_column(String(255), index=True)
    description: Mapped[str | None] = mapped_column(Text)
    username: Mapped[str] = mapped_column(String(255))
    password: Mapped[str | None] = mapped_column(String(1024))
    use_keys: Mapped[bool | None]
    key_file: Mapped[str | None] = mapped_column(String(1024))
    success_count: Mapped[int | None]
    failure_count: Mapped[int | None]
    last_used: Mapped[datetime | None]
    last_success: Mapped[datetime | None]
    last_failure: Mapped[datetime | None]
    created_at: Mapped[datetime | None]
    updated_at: Mapped[datetime | None]


class CredentialTag(Base):
    """An association."""

    __tablename__ = "credential_tags"
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    credential_id: Mapped[str] = mapped_column(ForeignKey("credentials.id", ondelete="CASCADE"))
    tag_id: Mapped[str] = mapped_column(ForeignKey("tags.id", ondelete="CASCADE"))
    priority: Mapped[float | None]
    success_count: Mapped[int | None]
    failure_count: Mapped[int | None]
    last_used: Mapped[datetime | None]
    last_success: Mapped[datetime | None]
    last_failure: Mapped[datetime | None]
    created_at: Mapped[datetime | None]
    updated_at: Mapped[datetime | None]


def fernet_of(key_string: str) -> Fernet:
    """The application's key under its key string."""
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(key_string.encode()).digest()))


def reseal(stored: str | None, opener: Fernet, sealer: Fernet) -> str | None:
    """The password sealed under the new key; NULL stays NULL."""
    if not stored:
        return stored
    token = base64.b64decode(json.loads(stored)["encrypted_data"]) if stored.startswith("{") else stored.encode()
    try:
        password = opener.decrypt(token)
    except InvalidToken:
        password = stored.encode()
    payload = base64.b64encode(sealer.encrypt(password)).decode()
    return json.dumps({"key_id": "default", "encrypted_data": payload, "version": "1.0"})


def copy(source: Session, target: Session, table: type[Base], opener: Fernet, sealer: Fernet) -> None:
    """Every row of the table is in the target."""
    names = [column.key for column in table.__mapper__.column_attrs]
    for place, row in enumerate(source.scalars(select(table)).yield_per(COMMIT_EVERY_ROWS), start=1):
        values = {name: getattr(row, name) for name in names}
        if "password" in values:
            values["password"] = reseal(values["password"], opener, sealer)
        target.add(table(**values))
        if place % COMMIT_EVERY_ROWS == 0:
            target.commit()
    target.commit()


def main() -> None:
    """Copy the three tables."""
    opener = fernet_of(os.environ["NETRAVEN_ENCRYPTION_KEY"])
    sealer = fernet_of(os.environ["CREDSTORE_TARGET_KEY"])
    engine = create_engine(os.environ["CREDSTORE_POSTGRES_URL"], hide_parameters=True)
    Base.metadata.create_all(engine)
    with Session(create_engine(f"sqlite:///{sys.argv[1]}")) as source, Session(engine) as target:
        for table in (Tag, Credential, CredentialTag):
            copy(source, target, table, opener, sealer)


if __name__ == "__main__":
    main()
