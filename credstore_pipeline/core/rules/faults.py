"""Collects what is wrong with a table's rows; each row is refused for one reason, the first that was found."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from credstore_pipeline.core.reasons import Reason
from credstore_pipeline.core.rules.parts import Mask, Positions
from credstore_pipeline.core.rules.verdict import QUARANTINE


class Faults:
    """The reasons found so far, in the order of their precedence."""

    def __init__(self, row_count: int) -> None:
        """Start with every row in order."""
        self._sound: Mask = np.ones(row_count, dtype=np.bool_)
        self._reasons: npt.NDArray[np.object_] = np.full(row_count, None, dtype=object)
        self._details: npt.NDArray[np.object_] = np.full(row_count, None, dtype=object)

    @property
    def sound(self) -> Mask:
        """Rows without a fault so far."""
        return self._sound.copy()

    def add(self, reason: Reason, rows: Positions, details: str | Sequence[str]) -> None:
        """Refuse the rows, save those that were refused for another reason before.

        Args:
            reason: Why.
            rows: Positions, each once.
            details: What is wrong, for all rows or for each. A further one for the same reason is appended.
        """
        told = np.full(len(rows), details, dtype=object) if isinstance(details, str) else np.array(details, object)
        new = self._sound[rows]
        for place in np.flatnonzero(~new):
            if self._reasons[rows[place]] is reason:
                self._details[rows[place]] += f"; {told[place]}"
        self._sound[rows[new]] = False
        self._reasons[rows[new]] = reason
        self._details[rows[new]] = told[new]

    def forgive(self, rows: Positions) -> None:
        """Take back what was found wrong with the rows."""
        self._sound[rows] = True

    def refused(self, table: str, rowids: pa.Array, source_ids: pa.Array) -> pa.Table:
        """The quarantine of the table (`QUARANTINE`).

        Args:
            table: The source table.
            rowids: Every row's `source_rowid`.
            source_ids: Every row's id as the source has it, null where that is no text.
        """
        rows = np.flatnonzero(~self._sound)
        places = pa.array(rows, pa.int64())
        return pa.table(
            {
                "source_table": pa.repeat(pa.scalar(table), len(rows)),
                "source_rowid": rowids.take(places),
                "row_index": places,
                "source_id": source_ids.take(places),
                "reason": pa.array([str(reason) for reason in self._reasons[rows]], pa.string()),
                "detail": pa.array(list(self._details[rows]), pa.string()),
            }
        ).cast(QUARANTINE)
