"""What every step of one pass over the target needs."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from credstore_pipeline.core.deployment import Policies
from credstore_pipeline.core.load.columns import SCHEMAS, slots, substance
from credstore_pipeline.core.load.meaning import Meaning, Packed
from credstore_pipeline.core.sync.book import ConflictBook


@dataclass(frozen=True)
class Incoming:
    """One table's validated rows with what they mean.

    Attributes:
        table: The table.
        rows: Validated rows, at least the columns of `SCHEMAS[table]`.
        packed: Their fingerprints, one row a row.
    """

    table: str
    rows: pa.Table
    packed: Packed

    def subset(self, ids: list[str] | pa.Array) -> "Incoming":
        """The rows with the given ids, in that order."""
        order = pc.index_in(pa.array(ids, pa.string()), self.rows["id"].combine_chunks())
        return Incoming(self.table, self.rows.take(order), self.packed[order.to_numpy(zero_copy_only=False)])


@dataclass(frozen=True)
class Passage:
    """One pass inside the load's transaction.

    Attributes:
        connection: The transaction, READ COMMITTED, holding the load's lock.
        schema: The application's schema.
        meaning: Fingerprints under the data key.
        policies: What an operator decided.
        book: Takes the conflicts.
        log: Told what is being done.
        revived: Ids of credentials that this pass inserted or a settlement brought back: their associations follow.
        unburied: Ids of rows with a tombstone that are on both sides again.
    """

    connection: Connection
    schema: str
    meaning: Meaning
    policies: Policies
    book: ConflictBook
    log: Callable[[str], None]
    revived: set[str] = field(default_factory=set)
    unburied: set[str] = field(default_factory=set)


def essence(table: str, packed: Packed) -> list[bytes]:
    """What each row means apart from statistics, as bytes to be compared."""
    chosen = packed[:, slots(table, tuple(substance(table)))]
    return [row.tobytes() for row in chosen]


def as_values(table: str, rows: pa.Table) -> list[dict[str, object]]:
    """Rows as dictionaries, to be sealed; the password as it stands, which is sealed already or the application's."""
    return list(rows.select(SCHEMAS[table].names).to_pylist())
