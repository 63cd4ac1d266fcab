"""Seals whole source rows for quarantine, exactly as the source holds them, to be replayed later."""

import base64
import hashlib
import json
from typing import Any

import pyarrow as pa
from cryptography.fernet import Fernet

from credstore_pipeline.core.cells import InvalidText, cells_as_values
from credstore_pipeline.core.data_key import Purpose, subkey
from credstore_pipeline.core.rules.associations import association_ids

SCHEMA = pa.schema(
    [
        ("source_table", pa.string()),
        ("source_rowid", pa.int64()),
        ("source_id", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("sealed_row", pa.string()),
        ("content_fp", pa.binary()),
        ("row_id", pa.string()),
    ]
)
"""Rows of `quarantine/rows`; `content_fp` is a keyed digest of the row as the source holds it, `row_id` the id that
it has, or would have, in the target."""


class RowSealer:
    """Seals rows under one subkey of the data key and digests their content under another."""

    def __init__(self, data_key: bytes) -> None:
        """Derive the two subkeys."""
        self._fernet = Fernet(base64.urlsafe_b64encode(subkey(data_key, Purpose.QUARANTINE)))
        self._content_key = subkey(data_key, Purpose.CONTENT)

    def seal(self, refused: pa.Table, extracted: pa.Table) -> pa.Table:
        """Quarantine rows as `SCHEMA` wants them.

        Args:
            refused: source_table, source_rowid, source_id, reason, detail and `row_index` into `extracted`.
            extracted: The rows as extracted.
        """
        rows = _as_dicts(extracted.take(refused["row_index"]))
        links = refused.num_rows and refused["source_table"][0].as_py() == "credential_tags"
        row_ids = association_ids(extracted).take(refused["row_index"]) if links else refused["source_id"]
        texts = [json.dumps(row, sort_keys=True).encode() for row in rows]
        sealed = [self._fernet.encrypt(text).decode() for text in texts]
        digests = [hashlib.blake2b(text, key=self._content_key, digest_size=16).digest() for text in texts]
        return pa.table(
            {name: refused[name] for name in SCHEMA.names[:5]}
            | {
                "sealed_row": pa.array(sealed, pa.string()),
                "content_fp": pa.array(digests, pa.binary()),
                "row_id": row_ids,
            }
        ).cast(SCHEMA)

    def open(self, sealed_row: str) -> dict[str, Any]:
        """The row as the source held it; raises `cryptography.fernet.InvalidToken` if altered."""
        return {name: _decoded(value) for name, value in json.loads(self._fernet.decrypt(sealed_row)).items()}


def _as_dicts(rows: pa.Table) -> list[dict[str, Any]]:
    names = [name for name in rows.column_names if name != "source_rowid"]
    columns = [[_encoded(value) for value in cells_as_values(rows[name].combine_chunks())] for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)] if columns else []


def _encoded(value: Any) -> Any:
    if isinstance(value, InvalidText):
        return {"text_bytes": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, bytes):
        return {"blob": base64.b64encode(value).decode()}
    if isinstance(value, float):
        return {"real": repr(value)}
    return value


def _decoded(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, text),) = value.items()
    if kind == "real":
        return float(text)
    raw = base64.b64decode(text)
    return InvalidText(raw) if kind == "text_bytes" else raw
