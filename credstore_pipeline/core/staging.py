"""Files between steps: Parquet, sealed chunk by chunk with authenticated encryption.

Layout of a file: magic, header length (4 bytes), header (JSON: sizes of the parts), then chunks of
`CHUNK_BYTES` of plaintext, each AES-256-GCM with a nonce of 7 random bytes, a 4-byte counter and a last-chunk
mark. The header, the run, the asset and the schema are associated data of every chunk, so that a file can
neither be cut, reordered nor taken for another run's or asset's.
"""

import hashlib
import io
import json
import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from credstore_pipeline.core.errors import StagingError
from credstore_pipeline.core.frames import Frame

MAGIC = b"CREDSTG1"
CHUNK_BYTES = 4 * 1024 * 1024
TAG_BYTES = 16


def seal_frame(frame: Frame, out: BinaryIO, key: bytes, run_id: str, asset: str) -> int:
    """Write the frame sealed and return the number of bytes written.

    Args:
        frame: What to write.
        out: Any binary file.
        key: 32 bytes, used for nothing else.
        run_id: The (root) run that the frame belongs to.
        asset: The asset key that the frame belongs to.
    """
    parts: list[pa.Buffer] = []
    described = []
    for name, table in frame.tables.items():
        sink = pa.BufferOutputStream()
        # Tokens do not compress; lz4 costs next to nothing and shrinks the rest.
        pq.write_table(table, sink, compression="lz4", use_dictionary=False, write_statistics=False)
        parts.append(sink.getvalue())
        described.append({"name": name, "bytes": parts[-1].size, "schema": _schema_digest(table.schema)})
    nonce = os.urandom(7)
    header = json.dumps({"tables": described, "notes": frame.notes, "nonce": nonce.hex()}).encode()
    head = MAGIC + struct.pack(">I", len(header)) + header
    out.write(head)
    written = len(head)
    bound = _bound(header, run_id, asset)
    aead = AESGCM(key)
    for counter, (chunk, last) in enumerate(_chunks(parts)):
        sealed = aead.encrypt(_nonce(nonce, counter, last), chunk, bound)
        out.write(sealed)
        written += len(sealed)
    return written


def open_frame(file: BinaryIO, key: bytes, run_id: str, asset: str) -> Frame:
    """Read back what `seal_frame` wrote for the same run and asset.

    Raises:
        StagingError: If the file was altered, cut, or belongs elsewhere.
    """
    wrong = StagingError(asset, "its file between steps was altered or belongs to another run", todo=START_OVER)
    if file.read(len(MAGIC)) != MAGIC:
        raise wrong
    try:
        header = file.read(struct.unpack(">I", file.read(4))[0])
        described = json.loads(header)
        nonce, sizes = bytes.fromhex(described["nonce"]), [part["bytes"] for part in described["tables"]]
    except (struct.error, ValueError, KeyError, TypeError):
        raise wrong from None
    plain = io.BytesIO()
    bound, aead, total = _bound(header, run_id, asset), AESGCM(key), sum(sizes)
    counter = 0
    while True:
        sealed = file.read(CHUNK_BYTES + TAG_BYTES)
        last = plain.tell() + len(sealed) - TAG_BYTES >= total
        try:
            plain.write(aead.decrypt(_nonce(nonce, counter, last), sealed, bound))
        except (InvalidTag, ValueError):
            raise wrong from None
        counter += 1
        if last:
            break
    buffer, start, tables = pa.py_buffer(plain.getbuffer()), 0, {}
    for part in described["tables"]:
        table = pq.read_table(pa.BufferReader(buffer.slice(start, part["bytes"])))
        if _schema_digest(table.schema) != part["schema"]:
            raise wrong
        tables[part["name"]] = table
        start += part["bytes"]
    return Frame(tables, described["notes"])


START_OVER = "Launch the whole job again (`migrate`, or `--select '*'`)."


def _chunks(parts: list[pa.Buffer]) -> Iterator[tuple[memoryview, bool]]:
    whole = memoryview(b"".join(parts))
    ends = range(0, max(len(whole), 1), CHUNK_BYTES)
    for start in ends:
        yield whole[start : start + CHUNK_BYTES], start == ends[-1]


def _nonce(prefix: bytes, counter: int, last: bool) -> bytes:
    return prefix + struct.pack(">IB", counter, last)


def _bound(header: bytes, run_id: str, asset: str) -> bytes:
    return json.dumps([run_id, asset]).encode() + hashlib.sha256(header).digest()


def _schema_digest(schema: pa.Schema) -> str:
    return hashlib.sha256(schema.remove_metadata().serialize().to_pybytes()).hexdigest()
