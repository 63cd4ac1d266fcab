"""Sealing every password anew under the store's key: all of them, or none."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from credstore_pipeline.core.errors import KeyRingError
from credstore_pipeline.core.keys.key import DEFAULT
from credstore_pipeline.store.errors import NOTHING_CHANGED
from credstore_pipeline.store.figures import Reencryption
from credstore_pipeline.store.models import CredentialRow
from credstore_pipeline.store.operations import BATCH_ROWS, Operations, given
from credstore_pipeline.store.values import checked_limit

Progress = Callable[[int, int, int, int], None]
"""Called with rows done, rows in all, rows sealed, and 0 for failed."""


class Stored(NamedTuple):
    """A row as read."""

    id: str
    password: str | None

    def __repr__(self) -> str:
        """Show the id alone."""
        return f"Stored({self.id})"


class ReencryptionOperations(Operations):
    """The operation that changes what every password is sealed under."""

    def reencrypt_all_credentials(
        self,
        new_key_id: str | None = None,
        batch_size: int = BATCH_ROWS,
        progress_callback: Progress | None = None,
    ) -> Reencryption:
        """Seal every password under this store's key, in one transaction; returns counts by former key.

        To change keys, make a store with the new key as `encryption_key` and the old one among `retired_keys`.
        First every password is opened, and nothing is written if one does not open: ciphertext is never wrapped.
        Rows are taken in the order of their ids, and each is written only as it was read: a password that
        somebody sets meanwhile is read again. `updated_at` stays, since no meaning changes.

        Args:
            new_key_id: None or `default`: the one key id that every version of the application reads.
            batch_size: Rows read and written at a time.
            progress_callback: Called after each batch that was written, before anything is committed.

        Raises:
            SecretUnopenable: If a password does not open; names the rows. Nothing was changed.
            KeyRingError: For any other key id.
        """
        if new_key_id not in (None, DEFAULT):
            raise KeyRingError(
                "new_key_id",
                f"passwords are sealed under the key id {DEFAULT} alone.",
                state=NOTHING_CHANGED,
                todo="Give the new key as encryption_key and the old one in retired_keys.",
            )
        rows = max(1, checked_limit(batch_size, "batch_size"))

        def reencrypt(session: Session) -> Reencryption:
            # It takes as long as it takes: the whole store is opened while the transaction is open.
            for setting in ("idle_in_transaction_session_timeout", "statement_timeout"):
                session.execute(sa.select(sa.func.set_config(setting, "0", sa.true())))
            by_key = self._require_all_open(session, rows)
            total, done, sealed, rewritten, batches = sum(by_key.values()), 0, 0, 0, 0
            for batch in _read(session, rows):
                rewritten += self._seal_batch(session, batch)
                sealed += sum(1 for row in batch if row.password)
                done, batches = done + len(batch), batches + 1
                if progress_callback:
                    progress_callback(done, max(total, done), sealed, 0)
            return Reencryption(done, sealed, 0, batches, 0, rewritten, dict(sorted(by_key.items())))

        return self._transactions.write("re-encrypting all credentials", reencrypt)

    def _require_all_open(self, session: Session, rows: int) -> Counter[str]:
        by_key: Counter[str] = Counter()
        closed: list[str] = []
        for batch in _read(session, rows):
            for row in batch:
                opened = self._vault.peel(row.password)
                by_key[self._vault.name_of(opened)] += 1
                if row.password and opened.plaintext is None:
                    closed.append(row.id)
        if closed:
            raise self._vault.unopenable(closed)
        return by_key

    def _seal_batch(self, session: Session, batch: list[Stored]) -> int:
        """Write a batch's passwords sealed anew; returns how many rows changed."""
        pending, rewritten = batch, 0
        while pending:
            sealed = list(self._sealed(pending))
            changed = _replace(session, sealed)
            rewritten += len(changed)
            # What is not as it was read was set, or deleted, by somebody meanwhile.
            pending = _read_again(session, [row_id for row_id, _, _ in sealed if row_id not in changed])
        return rewritten

    def _sealed(self, rows: list[Stored]) -> Iterator[tuple[str, str, str]]:
        for row in rows:
            if not row.password:
                continue
            opened = self._vault.peel(row.password)
            if opened.plaintext is None:
                raise self._vault.unopenable([row.id])
            if not opened.exact:
                yield row.id, row.password, self._vault.seal_again(opened)


def _read(session: Session, rows: int) -> Iterator[list[Stored]]:
    last = ""
    while True:
        page = sa.select(CredentialRow.id, CredentialRow.password).where(CredentialRow.id > last)
        found = session.execute(page.order_by(CredentialRow.id).limit(rows)).all()
        if not found:
            return
        yield [Stored(*row) for row in found]
        last = found[-1].id


def _read_again(session: Session, ids: list[str]) -> list[Stored]:
    if not ids:
        return []
    page = sa.select(CredentialRow.id, CredentialRow.password).where(CredentialRow.id.in_(ids))
    return [Stored(*row) for row in session.execute(page)]


def _replace(session: Session, sealed: list[tuple[str, str, str]]) -> set[str]:
    """Write sealed texts over the texts that were read, and return the ids of the rows that still held those."""
    if not sealed:
        return set()
    ids, as_read, anew = zip(*sealed, strict=True)
    rows = given(("id", sa.Text, ids), ("as_read", sa.Text, as_read), ("sealed", sa.Text, anew))
    change = (
        sa.update(CredentialRow)
        .where(CredentialRow.id == rows.c.id, CredentialRow.password == rows.c.as_read)
        .values(password=rows.c.sealed)
        .returning(CredentialRow.id)
        .execution_options(synchronize_session=False)
    )
    return set(session.scalars(change))
