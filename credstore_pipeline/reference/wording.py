"""What the code cannot say of itself: meanings of codes, values that settings take, uses of keys."""

from typing import NamedTuple

from credstore_pipeline.core.data_key import Purpose, TargetPurpose
from credstore_pipeline.core.reasons import Reason
from credstore_pipeline.core.rules.repairs import Rule
from credstore_pipeline.settings import DEFAULT_POSTGRES


class Words(NamedTuple):
    """What a setting takes, one example, and its default where that is not a constant."""

    takes: str
    example: str
    default: str = "none"


def _part(name: str, takes: str, example: str) -> Words:
    return Words(takes, example, f"`{DEFAULT_POSTGRES[name]}`, if another `POSTGRES_` variable is set")


_UNSEEDED = "none: the credential is not seeded"

SETTINGS = {
    "CREDSTORE_SQLITE_PATH": Words("a file that exists", "/srv/netraven/data/credentials.db", "none: it must be set"),
    "CREDSTORE_POSTGRES_URL": Words(
        "a URL of PostgreSQL with a database, or the word `embedded`",
        "postgresql://netraven:…@db.example:5432/netraven",
        "none: this or one of the `POSTGRES_` variables must be set",
    ),
    "POSTGRES_HOST": _part("host", "a host name or address", "db.example"),
    "POSTGRES_PORT": _part("port", "a whole number from 1 to 65535", "5432"),
    "POSTGRES_DB": _part("db", "a database's name", "netraven"),
    "POSTGRES_USER": _part("user", "a role's name", "netraven"),
    "POSTGRES_PASSWORD": _part("password", "text", "…"),
    "CREDSTORE_POSTGRES_SSLMODE": Words(
        "`disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`", "verify-full", "libpq's own, `prefer`"
    ),
    "CREDSTORE_POSTGRES_SSLROOTCERT": Words(
        "a file that exists", "/etc/ssl/certs/company-ca.pem", "libpq's own, `~/.postgresql/root.crt`"
    ),
    "CREDSTORE_TARGET_SCHEMA": Words("a schema's name, made if it is missing", "public"),
    "NETRAVEN_ENCRYPTION_KEY": Words("text", "…", "none; the target key must then be set"),
    "CREDSTORE_TARGET_KEY": Words("text", "…", "`NETRAVEN_ENCRYPTION_KEY`"),
    "CREDSTORE_SOURCE_KEYS": Words("a JSON list of non-empty strings", '["an older key string", "…"]', "`[]`"),
    "CREDSTORE_KEY_DIR": Words("a folder that exists", "/srv/netraven/data/keys"),
    "CREDSTORE_KEY_BACKUP": Words(
        "a file that exists; `CREDSTORE_KEY_BACKUP_PASSWORD` must be set too", "/srv/netraven/data/key_backup.json"
    ),
    "CREDSTORE_KEY_BACKUP_PASSWORD": Words("text", "…"),
    "NETRAVEN_ENCRYPTION_SALT": Words("text", "…", "none"),
    "CREDSTORE_MAX_QUARANTINED": Words("a whole number, 0 or more", "3"),
    "CREDSTORE_MAX_QUARANTINED_LINKS": Words("a whole number, 0 or more", "2"),
    "CREDSTORE_PLAINTEXT": Words("`encrypt` or `refuse`", "refuse"),
    "CREDSTORE_MISSING_TAGS": Words("`quarantine` or `placeholder`", "placeholder"),
    "CREDSTORE_PASSWORD_COLUMN": Words("`keep` or `widen`", "widen"),
    "CREDSTORE_CONFLICTS": Words("`manual`, `source` or `target`", "source"),
    "CREDSTORE_SECRET_CONFLICTS": Words("`manual`, `source` or `target`", "target"),
    "CREDSTORE_MAX_DELETE_FRACTION": Words("a number from 0 to 1", "0.25"),
    "CREDSTORE_WHOLE_PASS_BELOW": Words("a whole number, 0 or more", "1000000000"),
    "CREDSTORE_BACKUP_DIR": Words(
        "a folder that is or can be made, outside DAGSTER_HOME",
        "/srv/credstore/snapshots",
        "`credstore-snapshots` beside DAGSTER_HOME",
    ),
    "CREDSTORE_BACKUP_KEEP": Words("a whole number, 1 or more", "10"),
    "CREDSTORE_STAGING_URL": Words(
        "a path, or any URL that fsspec opens with what is installed",
        "/srv/credstore/staging",
        "`staging` under DAGSTER_HOME",
    ),
    "CREDSTORE_SOURCE_LOCK_MAX_S": Words("a number of seconds above 0", "5"),
    "CREDSTORE_LOCK_WAIT_S": Words("a number of seconds, 0 or more", "120"),
    "CREDSTORE_EMBEDDED_DIR": Words(
        "a folder that is or can be made",
        "/srv/credstore/postgres",
        "`credstore-embedded` in XDG_DATA_HOME or `~/.local/share`; as root `/var/lib/credstore-embedded/server`",
    ),
    "CREDSTORE_RESYNC_CRON": Words("a cron schedule of five fields, in UTC", "5,35 * * * *"),
    "CREDSTORE_RESYNC_ENABLED": Words("`true` or `false`", "true"),
    "CREDSTORE_WINDOW_START": Words("a time with an offset", "2026-01-31T22:00:00+00:00", "none: open from the start"),
    "CREDSTORE_WINDOW_END": Words("a time with an offset", "2026-02-28T22:00:00+00:00", "none: open until cutover"),
    "CREDSTORE_SENSOR_MIN_S": Words("a number of seconds, 0 or more", "60"),
    "CREDSTORE_MAX_DOWNTIME_S": Words("a number of seconds above 0", "20"),
    "CREDSTORE_ROLLBACK_KEY": Words("text", "…", "`NETRAVEN_ENCRYPTION_KEY`"),
    "CREDSTORE_ROLLBACK_FORMAT": Words("`envelope`, `token` or `plaintext`", "token"),
    "CREDSTORE_FAILURE_COMMAND": Words("a command line; no shell reads it", "/usr/local/bin/page-operator --team net"),
    "CREDSTORE_FAILURE_WEBHOOK": Words("an http or https URL", "https://hooks.example/credstore"),
    "CREDSTORE_SEED": Words("`true` or `false`", "true", "not set: whole runs do not seed, `credstore-init` does"),
    "CREDSTORE_SEED_FILE": Words("a YAML file ([containers.md](containers.md#seeding))", "/srv/credstore/seed.yaml"),
    "CREDSTORE_SEED_ADMIN_PASSWORD": Words("text of at most 479 bytes, none of the published defaults", "…", _UNSEEDED),
    "CREDSTORE_SEED_BACKUP_PASSWORD": Words("as above", "…", _UNSEEDED),
    "CREDSTORE_SEED_MONITOR_PASSWORD": Words("as above", "…", _UNSEEDED),
    "CREDSTORE_INIT_MAX_S": Words("a number of seconds above 0", "600"),
    "DAGSTER_HOME": Words("a folder's absolute path", "/srv/credstore/dagster_home", "none: it must be set"),
}
"""Every setting."""

REASONS = {
    Reason.UNDECRYPTABLE_SECRET: "has a password, or a layer in it, shaped like ciphertext that no key opens",
    Reason.PLAINTEXT_REFUSED: "has its password in the clear, and `CREDSTORE_PLAINTEXT=refuse`",
    Reason.SECRET_TOO_LONG: "has a password that, sealed, is longer than the target's column",
    Reason.VALUE_TOO_LONG: "has a text longer than the target's column",
    Reason.INVALID_TEXT: "has a text, or an opened password, that is not UTF-8, or a text with a NUL",
    Reason.MISSING_VALUE: "lacks an id, a name or a username; or, an association, one of its two ids",
    Reason.DUPLICATE_ID: "shares its id with another row of its table; all of them are refused",
    Reason.INVALID_NUMBER: "has a priority that is no number",
    Reason.ORPHAN_CREDENTIAL: "belongs to a credential that the file does not have",
    Reason.UNKNOWN_TAG: "belongs to a tag that is in neither store",
    Reason.PARENT_QUARANTINED: "belongs to a credential or tag that is in quarantine",
    Reason.TARGET_DIFFERS: "has an id that a row of the application's has, which means something else",
}
"""Every reason: what is wrong with the row."""

_COUNTERS = "`success_count`, `failure_count`"
_LAST = "`last_used`, `last_success`, `last_failure`"
_STAMPS = "`created_at`, `updated_at`"
_TIMES = "every time"

RULES = {
    Rule.COUNTER_NULL_TO_ZERO: (_COUNTERS, "NULL: 0"),
    Rule.COUNTER_UNUSABLE_TO_ZERO: (_COUNTERS, "no whole number: 0"),
    Rule.COUNTER_FROM_REAL: (_COUNTERS, "a real without a fraction: that number"),
    Rule.COUNTER_FROM_TEXT: (_COUNTERS, "the text of a whole number: that number"),
    Rule.COUNTER_OVER_INT4_TO_MAX: (_COUNTERS, "more than an integer holds: 2147483647"),
    Rule.COUNTER_UNDER_INT4_TO_MIN: (_COUNTERS, "less than an integer holds: -2147483648"),
    Rule.PRIORITY_NULL_TO_ZERO: ("`priority`", "NULL: 0.0, the application's default"),
    Rule.PRIORITY_FROM_TEXT: ("`priority`", "the text of a number: that number"),
    Rule.USE_KEYS_NULL_TO_FALSE: ("`use_keys`", "NULL: false"),
    Rule.USE_KEYS_READ_AS_TRUE: ("`use_keys`", "neither 0 nor 1, and the application's reader takes it as true: true"),
    Rule.USE_KEYS_READ_AS_FALSE: ("`use_keys`", "neither 0 nor 1, and the reader takes it as false: false"),
    Rule.TIMESTAMP_UNUSABLE_TO_NULL: (_LAST, "no time: NULL"),
    Rule.TIMESTAMP_TO_UTC: (_TIMES, "a text with an offset or `Z`: the same moment in UTC"),
    Rule.TIMESTAMP_EPOCH_SECONDS: (_TIMES, "a number from 0 on: seconds since 1970"),
    Rule.TIMESTAMP_EPOCH_MILLISECONDS: (_TIMES, "a number from 1e11 on: milliseconds since 1970"),
    Rule.TIMESTAMP_EPOCH_MICROSECONDS: (_TIMES, "a number from 1e14 on: microseconds since 1970"),
    Rule.TIMESTAMP_FROM_OTHER: (_STAMPS, "missing or no time, and the other one of the two is one: that one"),
    Rule.TIMESTAMP_FROM_SNAPSHOT: (_STAMPS, "neither of the two is a time: when the snapshot was begun"),
    Rule.ASSOCIATION_ID_FROM_PAIR: ("`id` of an association", "NULL, empty or no column: a uuid5 of the source's pair"),
    Rule.TAG_PLACEHOLDER: (
        "`name` of a tag",
        "no such tag in either store: `placeholder <id>`, if placeholders are asked for",
    ),
    Rule.COLUMN_ABSENT_TO_NULL: ("any that may be NULL", "no such column in the source: NULL"),
    Rule.COLUMN_ABSENT_TO_ZERO: ("counters, `priority`", "no such column in the source: 0"),
    Rule.COLUMN_ABSENT_TO_FALSE: ("`use_keys`", "no such column in the source: false"),
}
"""Every rule: the columns that it is about, and what it does."""

KEY_USES = {
    TargetPurpose.STAGING: "sealing the files between steps (AES-256-GCM)",
    TargetPurpose.SOURCE_DIGEST: "the digest of a store's content and the seal of a snapshot's manifest (BLAKE2b)",
    TargetPurpose.DATA_KEY_WRAP: "wrapping the data key (AES-256-GCM)",
    Purpose.FINGERPRINT: "fingerprints of all columns but passwords (SipHash-2-4)",
    Purpose.SECRET_FINGERPRINT: "fingerprints of passwords (BLAKE2b, 8 bytes)",
    Purpose.QUARANTINE: "sealing quarantined rows (Fernet)",
    Purpose.CONTENT: "knowing a quarantined row again by its content (BLAKE2b, 16 bytes)",
    Purpose.CONFLICT: "sealing both values of a conflict (Fernet)",
}
"""Every derived key: its one use."""
