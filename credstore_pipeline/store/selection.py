"""Which credentials to try, and in which order."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Literal

from credstore_pipeline.core.errors import SecretUnopenable
from credstore_pipeline.store.credentials import INFO, credential_of
from credstore_pipeline.store.operations import Operations
from credstore_pipeline.store.queries import RANKED, TAGGED
from credstore_pipeline.store.records import RankedCredential, TaggedCredential
from credstore_pipeline.store.unopened import Unopened
from credstore_pipeline.store.values import checked_limit

log = logging.getLogger("credstore_pipeline.store")

_PASSWORD = len(INFO)
"""Place of the password among the columns that `TAGGED` selects."""

Unopenable = Literal["raise", "skip"]
"""What to do about a password that no key opens: raise, or leave that credential out of the selection."""


class SelectionOperations(Operations):
    """Selections of credentials, always in the same order.

    A login needs few of their passwords, so each is opened when it is asked for. The first one is opened at once:
    under a wrong key there is no selection. With `unopenable="skip"` all are, to know which to leave out.
    """

    def get_credentials_by_tag(
        self, tag_id: str, *, limit: int | None = None, unopenable: Unopenable = "raise"
    ) -> list[TaggedCredential]:
        """Return a tag's credentials: highest priority first, then the oldest, then by id; each one once.

        With a limit no more than that many are returned, and no other password is opened.

        Raises:
            SecretUnopenable: If no key of the store opens the first password; the others raise it when they are read.
        """
        return self._tagged(f"selecting by tag id={tag_id}", [tag_id], limit, unopenable)

    def get_credentials_for_tags(
        self, tag_ids: Iterable[str], *, limit: int | None = None, unopenable: Unopenable = "raise"
    ) -> list[TaggedCredential]:
        """Return the credentials of all the tags of a device, each one once, at its best priority.

        The order is that of `get_credentials_by_tag`; `tag_id` of each is the tag that gave it its place.

        Raises:
            SecretUnopenable: If no key of the store opens the first password; the others raise it when they are read.
        """
        return self._tagged("selecting by tags", sorted(set(tag_ids)), limit, unopenable)

    def get_smart_credentials_for_tag(
        self, tag_id: str, limit: int = 5, *, unopenable: Unopenable = "raise"
    ) -> list[RankedCredential]:
        """Return a tag's credentials with the highest scores (docs/store.md, "Smart selection"), each one once.

        Equal scores: highest priority first, then the oldest, then by id.

        Raises:
            SecretUnopenable: If no key of the store opens the first password; the others raise it when they are read.
        """
        most = checked_limit(limit, "limit")
        # Whoever is left out makes room for the next.
        asked = {"tag_id": tag_id, "most": most if unopenable == "raise" else None}
        rows = self._transactions.read(
            f"ranking by tag id={tag_id}", lambda session: session.connection().execute(RANKED, asked).all()
        )
        chosen = self._chosen(rows, unopenable, most)
        return [
            RankedCredential(
                id=row.id,
                name=row.name,
                username=row.username,
                unopened=unopened,
                use_keys=row.use_keys,
                key_file=row.key_file,
                tag_id=tag_id,
                priority=row.priority,
                score=row.score,
                success_rate=100 * row.successes / row.attempts if row.attempts else None,
                attempts=row.attempts,
                last_success=row.last_success,
            )
            for row, unopened in chosen
        ]

    def _tagged(
        self, where: str, tag_ids: list[str], limit: int | None, unopenable: Unopenable
    ) -> list[TaggedCredential]:
        most = None if limit is None else checked_limit(limit, "limit")
        # A credential stands there once under each tag, unless a pair does twice. Whoever is left out makes room.
        enough = None if most is None or unopenable == "skip" else 2 * most * len(tag_ids)
        rows = self._rows(where, tag_ids, enough)
        kept = _once(rows)
        if most is not None and len(kept) < most and len(rows) == enough:
            kept = _once(self._rows(where, tag_ids, None))
        # By place, since a tag may have thousands: the statement's columns are the record's fields, in their order.
        return [
            credential_of(TaggedCredential, row, unopened, *row[_PASSWORD + 1 :])
            for row, unopened in self._chosen(kept, unopenable, most)
        ]

    def _rows(self, where: str, tag_ids: list[str], most: int | None) -> Sequence[Any]:
        asked = {"tag_ids": tag_ids, "most": most}
        return self._transactions.read(where, lambda session: session.connection().execute(TAGGED, asked).all())

    def _chosen(self, rows: Sequence[Any], unopenable: Unopenable, limit: int | None) -> list[tuple[Any, Unopened]]:
        found = ((row, Unopened(row.password, row.id, self._vault)) for row in rows)
        if unopenable == "raise":
            chosen = list(islice(found, limit))
            first = next((unopened for _, unopened in chosen if unopened.is_password()), None)
            if first is not None:
                first.open()
            return chosen
        closed: list[str] = []
        chosen = list(islice(self._those_that_open(found, closed), limit))
        if closed:
            log.warning("left out %d credentials whose passwords no key opens: %s", len(closed), ", ".join(closed[:8]))
        return chosen

    @staticmethod
    def _those_that_open(found: Iterable[tuple[Any, Unopened]], closed: list[str]) -> Iterator[tuple[Any, Unopened]]:
        for row, unopened in found:
            try:
                unopened.open()
            except SecretUnopenable:
                closed.append(row.id)
            else:
                yield row, unopened


def _once(rows: Sequence[Any]) -> Sequence[Any]:
    """Keep of each credential's rows the first, which has its best priority."""
    first = {row.id: row for row in reversed(rows)}
    return [row for row in rows if first[row.id] is row] if len(first) < len(rows) else rows
