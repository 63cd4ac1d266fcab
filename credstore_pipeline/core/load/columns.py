"""Which columns the application's tables have, in the fixed order of COPY and of fingerprints."""

import pyarrow as pa

_STATISTICS = (
    ("success_count", pa.int64()),
    ("failure_count", pa.int64()),
    ("last_used", pa.timestamp("us")),
    ("last_success", pa.timestamp("us")),
    ("last_failure", pa.timestamp("us")),
    ("created_at", pa.timestamp("us")),
    ("updated_at", pa.timestamp("us")),
)

SCHEMAS: dict[str, pa.Schema] = {
    "tags": pa.schema(
        [
            ("id", pa.string()),
            ("name", pa.string()),
            ("description", pa.string()),
            ("color", pa.string()),
            ("created_at", pa.timestamp("us")),
            ("updated_at", pa.timestamp("us")),
        ]
    ),
    "credentials": pa.schema(
        [
            ("id", pa.string()),
            ("name", pa.string()),
            ("description", pa.string()),
            ("username", pa.string()),
            ("password", pa.string()),
            ("use_keys", pa.bool_()),
            ("key_file", pa.string()),
            *_STATISTICS,
        ]
    ),
    "credential_tags": pa.schema(
        [
            ("id", pa.string()),
            ("credential_id", pa.string()),
            ("tag_id", pa.string()),
            ("priority", pa.float64()),
            *_STATISTICS,
        ]
    ),
}
"""Table -> its columns with their Arrow types, id first. Timestamps are naive UTC."""

FINGERPRINT_BYTES = 8
"""Width of one column's fingerprint."""

IDENTITY = {
    "tags": ("name", "description", "color"),
    "credentials": ("name", "description", "username", "password", "use_keys", "key_file"),
    "credential_tags": ("credential_id", "tag_id", "priority"),
}
"""Columns that say what a row means; the rest are statistics that logins move."""


def fingerprinted(table: str) -> list[str]:
    """Columns of the packed fingerprint, in its order: all but the id."""
    return [str(name) for name in SCHEMAS[table].names[1:]]


def slots(table: str, columns: tuple[str, ...]) -> list[int]:
    """Byte positions of the given columns within a packed fingerprint."""
    order = fingerprinted(table)
    return [
        byte
        for column in columns
        for start in [order.index(column) * FINGERPRINT_BYTES]
        for byte in range(start, start + FINGERPRINT_BYTES)
    ]


COUNTERS = ("success_count", "failure_count")
LATER = ("last_used", "last_success", "last_failure", "updated_at")
"""Times of which the later one of both sides holds; `updated_at` moves at every login and dates no edit."""

SECRETS = frozenset({"username", "password"})
"""Columns whose conflicts have a policy of their own."""


def substance(table: str) -> list[str]:
    """Columns that are no statistics, in the order of the packed fingerprint."""
    return [name for name in fingerprinted(table) if name not in COUNTERS and name not in LATER]
