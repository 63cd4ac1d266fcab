"""Judging and reading back passwords in bulk, on all cores once that pays."""

import os
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.secrets.chunks import CHUNK_ROWS, Chunk, Task, work
from credstore_pipeline.core.secrets.crew import Columns, Crew, unexpected
from credstore_pipeline.core.secrets.judge import Judge, Plaintext

JUDGED = pa.schema(
    [
        ("verdict", pa.string()),
        ("encoding", pa.string()),
        ("key_id", pa.string()),
        ("derivation", pa.string()),
        ("layers", pa.int8()),
        ("sealed", pa.string()),
        ("fingerprint", pa.binary()),
        ("kept", pa.bool_()),
        ("published_default", pa.bool_()),
        ("missing_key_id", pa.string()),
    ]
)
"""Columns of `SecretPool.judge`: the fields of Judged."""

SEEN = pa.schema(
    [("fingerprint", pa.binary()), ("encoding", pa.string()), ("key_id", pa.string()), ("layers", pa.int8())]
)
"""Columns of `SecretPool.fingerprint`: the fields of Seen."""

Progress = Callable[[int], None]
"""Called with the number of rows done so far."""


def usable_cores() -> int:
    """Return how many cores this process may run on, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class SecretPool:
    """Opens, seals and fingerprints passwords; a context manager that ends its workers.

    Up to `threshold_rows` rows are worked on in this process, more by one worker process a core. The
    workers start with the first large call and stay until the end of the block.
    """

    def __init__(
        self,
        ring: KeyRing,
        fingerprint_key: bytes,
        *,
        plaintext: Plaintext = "encrypt",
        cores: int | None = None,
        threshold_rows: int = 20_000,
    ) -> None:
        """Hold what passwords are judged by.

        Args:
            ring: Opens, and its primary key seals.
            fingerprint_key: Subkey for passwords' fingerprints, 32 bytes.
            plaintext: Whether plaintext rows are sealed (`encrypt`) or refused (`refuse`).
            cores: Number of worker processes; by default one for each core this process may use.
            threshold_rows: Up to so many rows no worker is started.
        """
        self._judge = Judge(ring, fingerprint_key, plaintext)
        self._cores = cores or usable_cores()
        self._crew = Crew(self._cores, ring, fingerprint_key, plaintext)
        self._threshold_rows = threshold_rows

    def __enter__(self) -> Self:
        """Return the pool; no worker runs yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the workers."""
        self._crew.stop()

    @property
    def pids(self) -> list[int]:
        """Process ids of the running workers."""
        return self._crew.pids

    def judge(
        self, ids: Sequence[str | None], stored: Sequence[bytes | None], progress: Progress | None = None
    ) -> pa.Table:
        """Judge stored passwords and seal anew what opens.

        Args:
            ids: Row ids, which fingerprints are bound to; a list or an Arrow string array.
            stored: The password column's bytes, NULL as None; a list or an Arrow binary or string array.
            progress: Called in this thread.

        Returns:
            One row each, in the same order, with the columns of JUDGED; in chunks of some 2,000 rows.

        Raises:
            SealingFailed: If a worker died; nothing of what it worked on is in the message.
        """
        return self._begin("judge", ids, stored, JUDGED)(progress)

    def fingerprint(
        self,
        ids: Sequence[str],
        stored: Sequence[str | None],
        *,
        only_primary: bool,
        progress: Progress | None = None,
    ) -> pa.Table:
        """Open passwords as they stand in the target and take their fingerprints.

        Args:
            ids: Row ids, which fingerprints are bound to; a list or an Arrow string array.
            stored: The password column's text, NULL as None; a list or an Arrow string array.
            only_primary: Demand exactly the target's form (NULL, '' or an envelope `default` under the
                primary key); otherwise open whatever the ring opens, and take plaintext as it is.
            progress: Called in this thread.

        Returns:
            One row each, in the same order, with the columns of SEEN; a null fingerprint does not open.

        Raises:
            SealingFailed: If a worker died; nothing of what it worked on is in the message.
        """
        return self.begin(ids, stored, only_primary=only_primary)(progress)

    def begin(
        self, ids: Sequence[str], stored: Sequence[str | None], *, only_primary: bool
    ) -> Callable[[Progress | None], pa.Table]:
        """Start what `fingerprint` does, and return what waits for it; the one before has to be waited for first.

        Few rows are worked on only then, by the caller.
        """
        return self._begin("read back the target's form" if only_primary else "read back", ids, stored, SEEN)

    def _begin(self, task: Task, ids: Any, stored: Any, schema: pa.Schema) -> Callable[[Progress | None], pa.Table]:
        if len(ids) != len(stored):
            raise ValueError(f"{len(ids)} ids for {len(stored)} passwords")
        stored_type = pa.binary() if task == "judge" else pa.string()
        starts = range(0, len(ids), CHUNK_ROWS)
        chunks = (
            Chunk(
                task,
                _values(ids[start : start + CHUNK_ROWS], pa.string()),
                _values(stored[start : start + CHUNK_ROWS], stored_type),
            )
            for start in starts
        )
        here = self._cores == 1 or len(ids) <= self._threshold_rows
        lot = None if here else self._crew.begin(chunks, len(starts))

        def wait(progress: Progress | None) -> pa.Table:
            batches: list[pa.RecordBatch | None] = [None] * len(starts)
            done = 0

            def take(position: int, columns: Columns) -> None:
                nonlocal done
                arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
                batches[position] = pa.record_batch(arrays, schema)
                done += len(columns[0])
                if progress:
                    progress(done)

            if lot is not None:
                lot.collect(take)
            else:
                for position, chunk in enumerate(chunks):
                    take(position, self._here(chunk))
            return pa.Table.from_batches(batches, schema)

        return wait

    def _here(self, chunk: Chunk) -> Columns:
        try:
            return work(self._judge, chunk)
        except Exception as error:
            # Whatever it is, it may quote a password: only its type passes this boundary.
            raise unexpected(error) from None


def _values(values: Any, type_: pa.DataType) -> list[Any]:
    return values.cast(type_).to_pylist() if isinstance(values, (pa.Array, pa.ChunkedArray)) else list(values)
