"""The application's credential store on PostgreSQL (docs/store.md). Imports no Dagster, pandas, Arrow or SQLite."""

from credstore_pipeline.core.errors import CredstoreError, SecretUnopenable
from credstore_pipeline.store.errors import (
    AlreadyThere,
    NotFound,
    OutcomeUnknown,
    PoolFull,
    StatementTimeout,
    TablesMissing,
    ValueRefused,
)
from credstore_pipeline.store.figures import CredentialStats, Performer, Reencryption, TagCredentialStats
from credstore_pipeline.store.operations import Link
from credstore_pipeline.store.records import (
    Association,
    Credential,
    CredentialInfo,
    RankedCredential,
    Tag,
    TaggedCredential,
)
from credstore_pipeline.store.settings import StoreSettings
from credstore_pipeline.store.shared import get_credential_store
from credstore_pipeline.store.store import CredentialStore

__all__ = [
    "AlreadyThere",
    "Association",
    "Credential",
    "CredentialInfo",
    "CredentialStats",
    "CredentialStore",
    "CredstoreError",
    "Link",
    "NotFound",
    "OutcomeUnknown",
    "Performer",
    "PoolFull",
    "RankedCredential",
    "Reencryption",
    "SecretUnopenable",
    "StatementTimeout",
    "StoreSettings",
    "TablesMissing",
    "Tag",
    "TagCredentialStats",
    "TaggedCredential",
    "ValueRefused",
    "get_credential_store",
]
