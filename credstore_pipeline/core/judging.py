"""Opens every extracted password once, judges it, and seals it for the target: census and validation share it."""

import base64
import json
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from credstore_pipeline.core.cells import cells_as_secrets, cells_as_text
from credstore_pipeline.core.census import count_by_key
from credstore_pipeline.core.data_key import Purpose, subkey, unwrap_data_key
from credstore_pipeline.core.deployment import Policies
from credstore_pipeline.core.frames import Frame
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.secrets.pool import SecretPool

DATA_KEY_NOTE = "data_key"
"""Note under which the wrapped data key travels from the judging to the load."""

PUBLISHED_NOTE = "published"
"""Note under which the number of passwords that are published defaults travels along."""


def judge(
    extracted: Frame,
    ring: KeyRing,
    wrapped_data_key: bytes,
    policies: Policies,
    progress: Callable[[int], None] | None = None,
) -> Frame:
    """Judge every row of `extracted/credentials`, in its order.

    Args:
        extracted: The extracted credentials; its password column may be absent when there is no table.
        ring: Keys to open with; the primary one seals.
        wrapped_data_key: The target's data key, wrapped; fingerprints are made under it.
        policies: Whether plaintext rows are accepted.
        progress: Called with the number of rows judged so far.

    Returns:
        `source_rowid` and the verdict columns, one row an extracted row; the census as a note.
    """
    rows = extracted.rows
    count = rows.num_rows
    names = rows.column_names
    ids = cells_as_text(_flat(rows["id"]))[0].to_pylist() if "id" in names else [None] * count
    stored = cells_as_secrets(_flat(rows["password"])) if "password" in names else [None] * count
    secret_key = subkey(unwrap_data_key(wrapped_data_key, ring).data_key, Purpose.SECRET_FINGERPRINT)
    with SecretPool(ring, secret_key, plaintext=policies.plaintext) as pool:
        judged = pool.judge(ids, stored, progress)
    judged = judged.add_column(0, "source_rowid", rows["source_rowid"])
    published = pc.sum(judged["published_default"]).as_py() or 0
    notes = {
        PUBLISHED_NOTE: str(published),
        DATA_KEY_NOTE: base64.b64encode(wrapped_data_key).decode(),
        "census": json.dumps(count_by_key(judged)),
    }
    return Frame({"rows": judged}, notes)


def data_key_of(frame: Frame, ring: KeyRing) -> tuple[bytes, bytes]:
    """The wrapped data key that travels with a frame, and the data key itself."""
    wrapped = base64.b64decode(frame.notes[DATA_KEY_NOTE])
    return wrapped, unwrap_data_key(wrapped, ring).data_key


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()
