"""Which keys are still needed, by how many rows, in which store: what nothing needs can be retired."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from credstore_pipeline.core.cells import InvalidText, cells_as_secrets
from credstore_pipeline.core.data_key import TargetPurpose, target_subkey, unwrap_data_key
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.errors import CouldNotCheck, TargetKeyChanged
from credstore_pipeline.core.keys.derivations import Derivation
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load.ledger import Books, open_books
from credstore_pipeline.core.load.reading import qualified
from credstore_pipeline.core.secrets.shapes import shape_of
from credstore_pipeline.core.source.extract import extract
from credstore_pipeline.core.source.manifest import read_manifest
from credstore_pipeline.core.source.snapshot import snapshot_path
from credstore_pipeline.core.target.connect import make_engine, transaction
from credstore_pipeline.core.target.retry import retrying
from credstore_pipeline.core.validation.quarantine import RowSealer

NO_KEY = "none: in the clear, empty or NULL"
NOT_GIVEN = "one that was not given"

_DERIVED = (Derivation.PBKDF2_ENV, Derivation.PBKDF2_HEAD)

_Needed = tuple[str, str]
"""Key's public name, and how it came about."""


@dataclass(frozen=True)
class Retirement:
    """The account.

    Attributes:
        rows: store, key, derivation, rows; the most first within a store. A row sealed twice counts under both keys.
        retirable: Public names of the given keys that nothing needs.
    """

    rows: list[dict[str, Any]]
    retirable: list[str]


def key_retirement(deployment: Deployment, ring: KeyRing, run_id: str) -> Retirement:
    """Peel every password of the snapshot last loaded, of the target and of quarantine, and count the keys.

    Writes nothing. Opened layers are dropped as soon as the next one was looked for.

    Raises:
        CouldNotCheck: If nothing was loaded yet, or the snapshot last loaded is missing.
    """
    engine = make_engine(deployment.target, run_id)

    def ask() -> Retirement:
        with transaction(engine, "key retirement", deployment.target.schema) as connection:
            return _count(connection, deployment, ring)

    return retrying(ask)


def _count(connection: Connection, deployment: Deployment, ring: KeyRing) -> Retirement:
    books = open_books(connection, ring)
    if books.last is None or books.wrapped_data_key is None:
        raise CouldNotCheck("key retirement", "nothing was loaded yet", todo="Launch the job `migrate` first.")
    stores = {
        "legacy store (snapshot last loaded)": _keys(_in_snapshot(deployment, ring, books.last.snapshot_name), ring),
        "target": _keys(_in_target(connection, deployment.target.schema), ring),
        "quarantine": _keys(_in_quarantine(connection, ring, books), ring),
        "data key": Counter([_wrapping(ring, books.wrapped_data_key)]),
    }
    rows = [
        {"store": store, "key": key, "derivation": derivation, "rows": count}
        for store, counted in stores.items()
        for (key, derivation), count in counted.most_common()
    ]
    return Retirement(rows, _retirable(ring, {needed for counted in stores.values() for needed in counted}))


def _retirable(ring: KeyRing, needed: set[_Needed]) -> list[str]:
    """Given keys that nothing needs, in any derivation of the same string; the one that seals is always needed."""
    strings = {key.wire()[2] for key in ring.keys if (key.key_id, key.derivation.value) in needed} | {
        ring.primary.wire()[2]
    }
    return [
        key.key_id
        for key in ring.keys
        if not key.implied
        and key.derivation not in _DERIVED
        and (key.key_id, key.derivation.value) not in needed
        and (key.wire()[2] is None or key.wire()[2] not in strings)
    ]


def _keys(stored: Iterable[bytes | None], ring: KeyRing) -> Counter[_Needed]:
    """Count each layer's key; the outermost that does not open counts as one that was not given."""
    counted: Counter[_Needed] = Counter()
    for text in stored:
        sealed = shape_of(text) if text else None
        if sealed is None:
            counted[NO_KEY, ""] += 1
        while sealed is not None:
            found = ring.open(sealed.token, sealed.named)
            if found is None:
                counted[NOT_GIVEN, ""] += 1
                break
            key, inner = found
            counted[key.key_id, key.derivation.value] += 1
            sealed = shape_of(inner)
    return counted


def _in_snapshot(deployment: Deployment, ring: KeyRing, name: str) -> list[bytes | None]:
    path = snapshot_path(deployment.places.backup_dir, name)
    manifest = read_manifest(path.parent, target_subkey(ring, TargetPurpose.SOURCE_DIGEST))
    rows = extract(path, "credentials", manifest.shape).rows
    return cells_as_secrets(rows["password"]) if "password" in rows.column_names else []


def _in_target(connection: Connection, schema: str) -> list[bytes | None]:
    stored = connection.exec_driver_sql(f"SELECT password FROM {qualified(schema, 'credentials')}").scalars()
    return [None if text is None else text.encode() for text in stored]


def _in_quarantine(connection: Connection, ring: KeyRing, books: Books) -> list[bytes | None]:
    assert books.wrapped_data_key
    sealer = RowSealer(unwrap_data_key(books.wrapped_data_key, ring).data_key)
    sealed = connection.exec_driver_sql(
        "SELECT sealed_row FROM credstore_sync.quarantine WHERE source_table = 'credentials' AND resolved_at IS NULL"
    ).scalars()
    return [_as_bytes(sealer.open(row).get("password")) for row in sealed]


def _as_bytes(value: object) -> bytes | None:
    if value is None:
        return None
    return bytes(value) if isinstance(value, (bytes, InvalidText)) else str(value).encode()


def _wrapping(ring: KeyRing, wrapped: bytes) -> _Needed:
    for key in ring.sealers:
        alone = KeyRing([key])
        try:
            unwrap_data_key(wrapped, alone)
        except TargetKeyChanged:
            continue
        return key.key_id, key.derivation.value
    return NOT_GIVEN, ""
