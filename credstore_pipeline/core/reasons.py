"""Why a row is quarantined: one code each, the same in the database, the report and the docs."""

from enum import StrEnum


class Reason(StrEnum):
    """Reason codes of `credstore_sync.quarantine.reason`."""

    UNDECRYPTABLE_SECRET = "undecryptable_secret"
    PLAINTEXT_REFUSED = "plaintext_refused"
    SECRET_TOO_LONG = "secret_too_long"
    VALUE_TOO_LONG = "value_too_long"
    INVALID_TEXT = "invalid_text"
    MISSING_VALUE = "missing_value"
    DUPLICATE_ID = "duplicate_id"
    INVALID_NUMBER = "invalid_number"
    ORPHAN_CREDENTIAL = "orphan_credential"
    UNKNOWN_TAG = "unknown_tag"
    PARENT_QUARANTINED = "parent_quarantined"
    TARGET_DIFFERS = "target_differs"


WHAT_TO_DO: dict[Reason, str] = {
    Reason.UNDECRYPTABLE_SECRET: "Add the missing key to CREDSTORE_SOURCE_KEYS, CREDSTORE_KEY_DIR or "
    "CREDSTORE_KEY_BACKUP; or set a new password in the application.",
    Reason.PLAINTEXT_REFUSED: "Set CREDSTORE_PLAINTEXT=encrypt, or set the password anew in the application "
    "with a key.",
    Reason.SECRET_TOO_LONG: "Set CREDSTORE_PASSWORD_COLUMN=widen to make the column text, or shorten the password.",
    Reason.VALUE_TOO_LONG: "Shorten the named column's value in the source.",
    Reason.INVALID_TEXT: "Mend the named column in the source: it holds a NUL or bytes that are not UTF-8.",
    Reason.MISSING_VALUE: "Give the row an id, a name and a username in the source, or delete it there.",
    Reason.DUPLICATE_ID: "Give each row an id of its own in the source.",
    Reason.INVALID_NUMBER: "Set the priority to a number in the source.",
    Reason.ORPHAN_CREDENTIAL: "Nothing is lost in use: the credential does not exist. "
    "Delete the association in the source.",
    Reason.UNKNOWN_TAG: "Create the tag in the target, or set CREDSTORE_MISSING_TAGS=placeholder.",
    Reason.PARENT_QUARANTINED: "Mend its credential or tag; the association returns with it.",
    Reason.TARGET_DIFFERS: "The target has this id with another meaning. Decide which is right, "
    "and delete or mend the other.",
}
"""Reason -> what an operator does about it (one or two sentences)."""

NOT_COUNTED_AS_LINKS = frozenset({Reason.PARENT_QUARANTINED, Reason.ORPHAN_CREDENTIAL})
"""Reasons that follow from another row and do not count against CREDSTORE_MAX_QUARANTINED_LINKS."""
