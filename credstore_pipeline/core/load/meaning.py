"""What a row means, as packed fingerprints: equal meaning, equal bytes, whatever the ciphertext."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from credstore_pipeline.core.data_key import Purpose, subkey
from credstore_pipeline.core.fingerprints import row_fingerprints
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load.columns import FINGERPRINT_BYTES, fingerprinted
from credstore_pipeline.core.secrets.pool import SecretPool

Packed = npt.NDArray[np.uint8]
"""One row a row, 8 bytes a column of `fingerprinted(table)`."""

Found = tuple[Packed, npt.NDArray[np.bool_]]
"""Packed fingerprints, and which rows' passwords opened."""

UNOPENED = b"\0" * FINGERPRINT_BYTES
"""Stands where a stored password does not open; no real fingerprint is checked against it."""


class Meaning:
    """Fingerprints rows of one target under its data key."""

    def __init__(self, data_key: bytes, ring: KeyRing) -> None:
        """Take the two subkeys that fingerprints need, one for rows and one for secrets."""
        self._row_key = subkey(data_key, Purpose.FINGERPRINT)
        self.secret_key = subkey(data_key, Purpose.SECRET_FINGERPRINT)
        self._ring = ring

    def of_validated(self, table: str, rows: pa.Table) -> Packed:
        """Fingerprints of validated rows; the password's was taken when it was opened."""
        secrets = rows["password_fp"] if table == "credentials" else None
        return self._pack(table, rows, secrets)

    def of_stored(
        self, table: str, rows: pa.Table, *, only_primary: bool, progress: Callable[[int], None] | None = None
    ) -> Found:
        """Fingerprints of rows as read from the target, with a mask of those whose password opened.

        Args:
            table: Which table the rows are of.
            rows: Columns of `SCHEMAS[table]`.
            only_primary: Demand the application's envelope under the primary Fernet key.
            progress: Called with the number of passwords opened so far.
        """
        with self.opening(table, rows, only_primary=only_primary) as found:
            return found(progress)

    @contextmanager
    def opening(
        self, table: str, rows: pa.Table, *, only_primary: bool
    ) -> Iterator[Callable[[Callable[[int], None] | None], Found]]:
        """Start what `of_stored` does; within the block, what is given waits for it."""
        if table != "credentials":
            yield lambda _: (self._pack(table, rows, None), np.ones(rows.num_rows, dtype=bool))
            return
        # The application's own rows may hold NULL here; its reader takes that as false.
        position = rows.schema.get_field_index("use_keys")
        rows = rows.set_column(position, "use_keys", pc.fill_null(rows["use_keys"], False))
        with SecretPool(self._ring, self.secret_key) as pool:
            read = pool.begin(rows["id"], rows["password"], only_primary=only_primary)

            def found(progress: Callable[[int], None] | None) -> Found:
                prints = read(progress)["fingerprint"]
                opened = np.asarray(pc.is_valid(prints).to_numpy(zero_copy_only=False), dtype=bool)
                return self._pack(table, rows, pc.fill_null(prints, UNOPENED)), opened

            yield found

    def of_columns(self, table: str, rows: pa.Table, names: Sequence[str]) -> Packed:
        """Fingerprints of the named columns alone, in that order; none of them a password."""
        return row_fingerprints(self._row_key, table, _flat(rows["id"]), {name: _flat(rows[name]) for name in names})

    def _pack(self, table: str, rows: pa.Table, secrets: pa.ChunkedArray | None) -> Packed:
        order = fingerprinted(table)
        others = [name for name in order if name != "password"]
        ids = _flat(rows["id"])
        plain = row_fingerprints(self._row_key, table, ids, {name: _flat(rows[name]) for name in others})
        if secrets is None:
            return plain
        at = order.index("password") * FINGERPRINT_BYTES
        joined = b"".join(secrets.to_pylist())
        column = np.frombuffer(joined, dtype=np.uint8).reshape(rows.num_rows, FINGERPRINT_BYTES)
        return np.concatenate([plain[:, :at], column, plain[:, at:]], axis=1)


def as_binary(packed: Packed) -> pa.Array:
    """Packed fingerprints as one Arrow binary a row."""
    count, width = packed.shape
    offsets = pa.array(np.arange(count + 1, dtype=np.int64) * width)
    data = pa.py_buffer(np.ascontiguousarray(packed))
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), count, [None, offsets.buffers()[1], data])


def as_packed(column: pa.ChunkedArray, width: int) -> Packed:
    """The reverse of `as_binary`; every value has the given width."""
    return np.frombuffer(b"".join(column.to_pylist()), dtype=np.uint8).reshape(len(column), width)


def _flat(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
