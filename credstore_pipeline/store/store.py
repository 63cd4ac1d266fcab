"""The store that the application uses once its credentials are in PostgreSQL."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy.engine import URL

from credstore_pipeline.core.errors import SettingsError
from credstore_pipeline.settings_files import read_secret_files
from credstore_pipeline.store.associations import AssociationOperations
from credstore_pipeline.store.connecting import MODEL_SCHEMA, make_store_engine, store_url
from credstore_pipeline.store.credentials import CredentialOperations
from credstore_pipeline.store.reencryption import ReencryptionOperations
from credstore_pipeline.store.selection import SelectionOperations
from credstore_pipeline.store.settings import StoreSettings
from credstore_pipeline.store.statistics import StatisticsOperations
from credstore_pipeline.store.tables import prepare_tables
from credstore_pipeline.store.tags import TagOperations
from credstore_pipeline.store.transactions import Transactions
from credstore_pipeline.store.usage import UsageOperations
from credstore_pipeline.store.vault import open_vault

KEY_VARIABLE = "NETRAVEN_ENCRYPTION_KEY"


class CredentialStore(
    CredentialOperations,
    TagOperations,
    AssociationOperations,
    SelectionOperations,
    UsageOperations,
    StatisticsOperations,
    ReencryptionOperations,
):
    """Credentials, tags and their associations in PostgreSQL; passwords sealed under one key.

    One engine with one pool, for any number of threads; every operation is one transaction. Nothing is read or
    written, and nobody is connected to, until an operation needs it. docs/store.md describes the operations and
    where they differ from the application's former store.
    """

    def __init__(
        self,
        db_url: str | URL | None = None,
        encryption_key: str | None = None,
        *,
        retired_keys: Sequence[str] = (),
        key_dir: Path | None = None,
        schema: str = MODEL_SCHEMA,
        settings: StoreSettings | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Hold where the store is and what it is sealed under.

        Args:
            db_url: `postgresql://user:password@host:port/database`; without one the application's POSTGRES_HOST,
                _PORT, _DB, _USER and _PASSWORD (or POSTGRES_PASSWORD_FILE) count.
            encryption_key: The key string that seals; without one NETRAVEN_ENCRYPTION_KEY (or
                NETRAVEN_ENCRYPTION_KEY_FILE) counts.
            retired_keys: Key strings, or raw Fernet keys, that open and never seal; tried in this order.
            key_dir: The application's key directory, whose keys open as well.
            schema: Where the application's tables are.
            settings: Pool, timeouts and retries.
            sleep: Waits between attempts, in seconds.

        Raises:
            KeyRingError: If there is no key, or a key is malformed. Plaintext is never stored.
            SettingsError: If the URL or a variable is wrong.
        """
        chosen = settings or StoreSettings()
        vault = open_vault(encryption_key or _key_of_environment(os.environ), retired_keys, key_dir)
        self._url, self._schema = store_url(db_url), schema
        engine = make_store_engine(self._url, schema, chosen)
        super().__init__(Transactions(engine, chosen, sleep), vault)

    def initialize(self) -> None:
        """Make the tables that are missing, exactly as the application's models do; changes none that is there.

        Safe to call any number of times, from any number of processes at once. Needed on an empty database only.

        Raises:
            ShapeRefused: If there are tables of these names that are not the application's.
            LoadLocked: If a migration is loading, and tables are missing.
            TargetError: If the server refuses, for example because a right is missing.
        """
        prepare_tables(self._transactions, self._schema)

    def close(self) -> None:
        """Close the pool's connections; the store can be used again, and then connects anew."""
        self._transactions.engine.dispose()

    def __enter__(self) -> Self:
        """Return the store; it is closed at the end of the block."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the store."""
        self.close()

    def __repr__(self) -> str:
        """Show the place alone."""
        place = f"{self._url.host or 'local socket'}:{self._url.port or 5432}/{self._url.database}"
        return f"CredentialStore({place}.{self._schema})"


def _key_of_environment(environ: Mapping[str, str]) -> str | None:
    secrets, faults = read_secret_files([KEY_VARIABLE], environ)
    if faults:
        raise SettingsError(
            "credential store's key",
            "; ".join(f"{name}: {wrong}" for name, wrong in faults.items()),
            state="Nothing was read or written.",
        )
    return secrets.get(KEY_VARIABLE) or environ.get(KEY_VARIABLE)
