"""What the store raises besides the errors of the core; evidence alone, as there."""

from credstore_pipeline.core.errors import CredstoreError, TargetError

NOTHING_CHANGED = "Nothing was changed."


class NotFound(CredstoreError, LookupError):
    """A row that an operation needs does not exist; names its table and id."""


class AlreadyThere(CredstoreError):
    """A tag's name, or an id, is taken."""


class ValueRefused(CredstoreError, ValueError):
    """A value cannot be stored as it is; names the column, never the value."""


class TablesMissing(TargetError):
    """The database has no tables of the store yet."""


class PoolFull(TargetError):
    """Every connection of the store's pool stayed in use for as long as a caller may wait."""


class StatementTimeout(TargetError):
    """A statement ran longer than it may, or was cancelled."""


class OutcomeUnknown(TargetError):
    """The server crashed, or stayed away, in the moment of a COMMIT: the change is there, or it is not."""
