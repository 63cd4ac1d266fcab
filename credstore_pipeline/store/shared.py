"""The one store of a process, for callers that ask for it as they asked the application."""

import os
import threading

from credstore_pipeline.store.store import CredentialStore

URL_VARIABLE = "CREDENTIAL_STORE_DB_URL"
"""The application's own variable for this store's URL."""

_lock = threading.Lock()
_store: CredentialStore | None = None


def get_credential_store() -> CredentialStore:
    """Return the process's store, made from the environment when it is first asked for.

    Its URL is CREDENTIAL_STORE_DB_URL, or else what the POSTGRES_ variables say; its key is
    NETRAVEN_ENCRYPTION_KEY. For anything else make a `CredentialStore` of your own.

    Raises:
        KeyRingError: If there is no key.
        SettingsError: If a variable is wrong.
    """
    global _store
    with _lock:
        if _store is None:
            _store = CredentialStore(os.environ.get(URL_VARIABLE) or None)
        return _store
