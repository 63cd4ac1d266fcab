"""Reads target rows that are to be changed, so that nothing moves between reading and writing them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from credstore_pipeline.core.errors import TransientTargetError
from credstore_pipeline.core.load.columns import SCHEMAS
from credstore_pipeline.core.load.meaning import Meaning, Packed
from credstore_pipeline.core.load.reading import put_ids, qualified, read_rows, select_list
from credstore_pipeline.core.target.bulk import copy_out

_VERSIONS = pa.schema([("id", pa.string()), ("xmin", pa.string())])


@dataclass(frozen=True)
class Held:
    """Rows of the target that this transaction holds locked.

    Attributes:
        rows: As they stand, with the columns of `SCHEMAS[table]`.
        packed: What they mean.
    """

    rows: pa.Table
    packed: Packed

    @property
    def ids(self) -> pa.Array:
        """Their ids."""
        return self.rows["id"].combine_chunks()


def hold(
    connection: Connection, schema: str, table: str, place: str, meaning: Meaning, log: Callable[[str], None]
) -> Held:
    """Read and fingerprint rows, lock them in id order, and read again those that moved before the lock held.

    Passwords are opened before the lock is taken: the application waits for nothing that can be done earlier.

    Args:
        connection: The load's transaction, READ COMMITTED.
        schema: The application's schema.
        table: One of its tables.
        place: A temporary table that holds their ids.
        meaning: Fingerprints under the data key.
        log: Told before the lock is taken.

    Raises:
        TransientTargetError: If the application deleted one of them meanwhile.
    """
    wanted = f"{qualified(schema, table)} t JOIN pg_temp.{place} i ON i.id = t.id"
    read = copy_out(
        connection,
        f"SELECT {select_list(table)}, t.xmin::text FROM {wanted}",
        SCHEMAS[table].append(pa.field("xmin", pa.string())),
    )
    packed, _ = meaning.of_stored(table, read.drop_columns("xmin"), only_primary=False)
    log(f"{schema}.{table}: {read.num_rows} rows were read and are locked now.")
    connection.exec_driver_sql(f"SELECT 1 FROM {wanted} ORDER BY t.id FOR UPDATE OF t")
    now = copy_out(connection, f"SELECT t.id, t.xmin::text FROM {wanted}", _VERSIONS)
    if now.num_rows != read.num_rows:
        raise TransientTargetError(
            f"{schema}.{table}",
            f"{abs(read.num_rows - now.num_rows)} rows were deleted or came back meanwhile",
            todo="Launch the job again: it reads the target anew.",
        )
    version = now["xmin"].take(pc.index_in(read["id"], now["id"].combine_chunks()))
    moved = pc.fill_null(pc.not_equal(version, read["xmin"]), True)
    rows = read.drop_columns("xmin")
    if pc.any(moved).as_py():
        put_ids(connection, "moved", rows["id"].filter(moved))
        again = read_rows(connection, schema, table, "JOIN pg_temp.moved i ON i.id = t.id")
        meant, _ = meaning.of_stored(table, again, only_primary=False)
        stayed = pc.invert(moved)
        rows = pa.concat_tables([rows.filter(stayed), again])
        packed = np.concatenate([packed[stayed.to_numpy()], meant])
    return Held(rows, packed)
