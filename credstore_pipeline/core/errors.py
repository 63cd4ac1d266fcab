"""What can go wrong, each error built from evidence alone: table, id, column, count, key id, SQLSTATE.

A message reads: where: what is wrong. What state the data is in. What to do next.
No error ever holds a value, a token, a connection string or a row.
"""

UNCHANGED = "The target is unchanged."


class CredstoreError(Exception):
    """Base of every error of this package; its text is safe to show to anyone."""

    def __init__(self, where: str, wrong: str, *, state: str = UNCHANGED, todo: str = "") -> None:
        """Build the three-part message.

        Args:
            where: Table and row id, setting, file name or stage.
            wrong: What is wrong, as evidence, never as values.
            state: What state the data is in now.
            todo: What to do next; may span lines.
        """
        self.where, self.wrong, self.state, self.todo = where, wrong, state, todo
        ended = wrong if wrong.endswith((".", "\n")) else f"{wrong}."
        super().__init__(" ".join(part for part in (f"{where}: {ended}", state, todo) if part))


class SettingsError(CredstoreError):
    """One or more settings are missing or wrong; lists all of them."""


class SourceError(CredstoreError):
    """The legacy store cannot be read as it is."""


class SourceBusy(SourceError):
    """The legacy store is locked by a writer just now; trying again may help."""


class ShapeRefused(CredstoreError):
    """Tables, in the source or the target, have a shape that is not the application's."""


class SnapshotNotProven(CredstoreError):
    """The copy differs from the source or cannot be read back."""


class KeyRingError(CredstoreError):
    """Keys are missing, malformed or contradict each other."""


class SecretUnopenable(CredstoreError):
    """A stored password is shaped like ciphertext and no key authenticates it."""


class TargetKeyChanged(CredstoreError):
    """The target is sealed under a key that was not given."""


class SealingFailed(CredstoreError):
    """A worker that opens and seals passwords died or answered nonsense."""


class StagingError(CredstoreError):
    """A file between steps is missing, altered or of another run."""


class TargetError(CredstoreError):
    """PostgreSQL refused something; carries SQLSTATE, table and constraint only."""

    def __init__(
        self, where: str, wrong: str, *, sqlstate: str | None = None, state: str = UNCHANGED, todo: str = ""
    ) -> None:
        """Keep the SQLSTATE beside the message."""
        self.sqlstate = sqlstate
        super().__init__(where, wrong, state=state, todo=todo)


class TargetUnreachable(TargetError):
    """The target does not answer, or refuses the login."""


class TransientTargetError(TargetError):
    """The connection was lost, or a deadlock or serialization failure; trying again may help."""


class CommitUnknown(TransientTargetError):
    """The connection was lost during COMMIT: whether it took place is unknown until the target is asked."""


class LoadLocked(CredstoreError):
    """Another run holds the load's lock; names its run and since when."""


class Superseded(CredstoreError):
    """A newer snapshot than this run's was loaded meanwhile."""


class CutOver(CredstoreError):
    """The store was cut over: nothing is taken from the legacy file until a rollback clears the record."""


class Refused(CredstoreError):
    """A job that changes which store counts found a condition that is not met; names all of them."""


class QuarantineRefused(CredstoreError):
    """More rows than allowed cannot be migrated."""


class GuardRefused(CredstoreError):
    """What is to be loaded looks like another store, an older one or a damaged one; nothing was written."""


class ProofFailed(CredstoreError):
    """What was written is not what was meant; the transaction is rolled back."""


class CouldNotCheck(CredstoreError):
    """A proof could not be made; says nothing about the data, and is never green."""


class EmbeddedServerError(CredstoreError):
    """The embedded PostgreSQL cannot be found, made, started or reached."""
