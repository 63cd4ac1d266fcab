"""Which columns the rules read and which they write, by table (docs/legacy-formats.md, "Tables")."""

import pyarrow as pa

_TIME = pa.timestamp("us")

COUNTERS = ("success_count", "failure_count")
LAST = ("last_used", "last_success", "last_failure")
STAMPS = ("created_at", "updated_at")

_STATISTICS = [*((name, pa.int64()) for name in COUNTERS), *((name, _TIME) for name in (*LAST, *STAMPS))]

WRITTEN: dict[str, pa.Schema] = {
    "tags": pa.schema(
        [
            ("source_rowid", pa.int64()),
            ("id", pa.string()),
            ("name", pa.string()),
            ("description", pa.string()),
            ("color", pa.string()),
            *((name, _TIME) for name in STAMPS),
        ]
    ),
    "credentials": pa.schema(
        [
            ("source_rowid", pa.int64()),
            ("id", pa.string()),
            ("name", pa.string()),
            ("description", pa.string()),
            ("username", pa.string()),
            ("password", pa.string()),
            ("use_keys", pa.bool_()),
            ("key_file", pa.string()),
            *_STATISTICS,
            ("password_fp", pa.binary()),
        ]
    ),
    "credential_tags": pa.schema(
        [
            ("source_rowid", pa.int64()),
            ("source_id", pa.string()),
            ("id", pa.string()),
            ("credential_id", pa.string()),
            ("tag_id", pa.string()),
            ("priority", pa.float64()),
            *_STATISTICS,
        ]
    ),
}
"""Table -> rows as validation gives them. Times are naive UTC."""

TEXTS = {
    "tags": ("id", "name", "description", "color"),
    "credentials": ("id", "name", "username", "description", "key_file"),
    "credential_tags": ("id", "credential_id", "tag_id"),
}
"""Table -> columns that are read as text. A credential's password is none of them."""

REQUIRED = {
    "tags": ("id", "name"),
    "credentials": ("id", "name", "username"),
    "credential_tags": ("credential_id", "tag_id"),
}
"""Table -> texts that must not be NULL."""

NOT_EMPTY = {"tags": ("id",), "credentials": ("id",), "credential_tags": ("credential_id", "tag_id")}
"""Table -> texts for which the empty text is as good as NULL: identities. An empty name or username is a name."""

REFERENCES = {"tags": (), "credentials": (), "credential_tags": ("credential_id", "tag_id")}
"""Table -> texts whose length is their parent's matter."""
