"""Makes ids for associations that have none: the same ones in every run, from the source's pair."""

import hashlib
from collections import Counter
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from credstore_pipeline.core.rules.parts import Ints, as_mask

NAMESPACE = UUID("175fa943-ea98-45cd-9c74-ae4e4a01fa47")
"""Of this project's uuid5 names. Never change it: ids in migrated stores come from it."""

_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
_PLACES = np.array([place for place in range(36) if place not in (8, 13, 18, 23)])


def ids_from_pairs(credential_ids: pa.StringArray, tag_ids: pa.StringArray) -> pa.StringArray:
    """uuid5 of each pair of the source, distinct for each occurrence of the same pair.

    The name that is hashed is `occurrence/length of the credential id/credential id/tag id`: no two pairs share one.
    The occurrence counts from 1 in the order of the rows. Null where either id is null.
    """
    lengths = pc.cast(pc.utf8_length(credential_ids), pa.string())
    joined = pc.binary_join_element_wise(lengths, credential_ids, tag_ids, "/")
    there = np.flatnonzero(as_mask(joined.is_valid()))
    pairs: list[bytes] = joined.drop_null().cast(pa.binary()).to_pylist()
    names = [b"1/" + pair for pair in pairs] if len(set(pairs)) == len(pairs) else _counted(pairs)
    prefix, digest = NAMESPACE.bytes, hashlib.sha1
    digests = b"".join([digest(prefix + name, usedforsecurity=False).digest()[:16] for name in names])
    made = _as_uuids(np.frombuffer(digests, dtype=np.uint8).reshape(len(there), 16))
    order: Ints = np.full(len(joined), -1, dtype=np.int64)
    order[there] = np.arange(len(there))
    return made.take(pa.array(order, mask=order < 0))


def _counted(pairs: list[bytes]) -> list[bytes]:
    seen: Counter[bytes] = Counter()
    names = []
    for pair in pairs:
        seen[pair] += 1
        names.append(b"%d/%s" % (seen[pair], pair))
    return names


def _as_uuids(digests: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> pa.StringArray:
    """Write digests as uuid5 texts, in bulk: a UUID object each would take longer than all the rest."""
    raw = digests.copy()
    raw[:, 6] = raw[:, 6] & 0x0F | 0x50
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    texts = np.full((len(raw), 36), ord("-"), dtype=np.uint8)
    texts[:, _PLACES] = np.stack([_HEX[raw >> 4], _HEX[raw & 15]], axis=2).reshape(len(raw), 32)
    offsets = np.arange(len(raw) + 1, dtype=np.int32) * 36
    return pa.StringArray.from_buffers(len(raw), pa.py_buffer(offsets), pa.py_buffer(texts.tobytes()))
