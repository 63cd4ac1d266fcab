"""Which of the application's versions made a file, read from columns, indexes and foreign keys."""

import sqlite3
from collections.abc import Mapping

from credstore_pipeline.core.source.sqlite import ascii_fold

FLAVOURS: Mapping[str, str] = {
    "setup-script": "tables of the setup script: composite key, no use_keys, no timestamps on associations",
    "orm": "the store's own models: credentials and credential_tags, no tags table, no foreign key on tag_id",
    "orm-89ac2d0": "the first models, made to work by hand: a foreign key on tag_id",
    "web": "the web application's models: indexes ix_credentials_id and ix_credential_tags_id",
    "hybrid": "tables of several of these in one file",
    "partial": "known columns in a combination that no version made",
    "empty": "no credentials table: the setup script as shipped; there is nothing to migrate",
}
"""Flavour -> what it is (docs/legacy-formats.md, "Flavours")."""

_SCRIPT_CREDENTIALS = frozenset(
    ("id", "name", "username", "password", "description", "created_at", "updated_at", "success_count", "failure_count")
)
_SCRIPT_LINKS = frozenset(("credential_id", "tag_id", "priority", "success_count", "failure_count"))
_FULL = {"tags": 6, "credentials": 14, "credential_tags": 11}


def flavour_of(connection: sqlite3.Connection, columns: Mapping[str, tuple[str, ...]]) -> str:
    """Name the file's flavour.

    Args:
        connection: On the file.
        columns: The known columns of each of the store's tables that exist.
    """
    kinds = {table: _KIND[table](connection, frozenset(has)) for table, has in columns.items()}
    if "credentials" not in kinds:
        return "empty"
    if "partial" in kinds.values():
        return "partial"
    credentials, links, tags = (kinds.get(table) for table in ("credentials", "credential_tags", "tags"))
    if credentials == "script" and links in ("script", None) and tags in ("script", None):
        return "setup-script"
    if credentials == "orm" and links in ("orm", None) and tags is None:
        return "orm"
    if credentials == "orm" and links == "orm-89ac2d0" and tags in ("web", None):
        return "orm-89ac2d0"
    if credentials == "web" and links in ("web", None) and tags in ("web", None):
        return "web"
    return "hybrid"


def _credentials(connection: sqlite3.Connection, columns: frozenset[str]) -> str:
    if columns == _SCRIPT_CREDENTIALS:
        return "script"
    if len(columns) < _FULL["credentials"]:
        return "partial"
    return "web" if "ix_credentials_id" in _indexes(connection, "credentials") else "orm"


def _links(connection: sqlite3.Connection, columns: frozenset[str]) -> str:
    if columns == _SCRIPT_LINKS:
        return "script"
    if len(columns) < _FULL["credential_tags"]:
        return "partial"
    if "ix_credential_tags_id" in _indexes(connection, "credential_tags"):
        return "web"
    parents = {ascii_fold(row[2]) for row in connection.execute("PRAGMA foreign_key_list(credential_tags)")}
    return "orm-89ac2d0" if "tags" in parents else "orm"


def _tags(connection: sqlite3.Connection, columns: frozenset[str]) -> str:
    if len(columns) < _FULL["tags"]:
        return "partial"
    return "web" if "ix_tags_name" in _indexes(connection, "tags") else "script"


def _indexes(connection: sqlite3.Connection, table: str) -> set[str]:
    return {ascii_fold(row[1]) for row in connection.execute(f"PRAGMA index_list({table})")}


_KIND = {"credentials": _credentials, "credential_tags": _links, "tags": _tags}
