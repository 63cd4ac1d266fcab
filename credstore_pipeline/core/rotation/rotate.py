"""Every sealed password of the target under the target key of now, in one transaction."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from credstore_pipeline.core.data_key import unwrap_data_key, wrap_data_key
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.errors import ProofFailed, Refused, TransientTargetError
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load.ledger import open_books
from credstore_pipeline.core.load.meaning import Meaning
from credstore_pipeline.core.load.reading import put_table, qualified
from credstore_pipeline.core.rotation.manifests import Resealed, reseal_books, write_manifests
from credstore_pipeline.core.secrets.pool import SecretPool
from credstore_pipeline.core.secrets.shapes import Encoding
from credstore_pipeline.core.target.bulk import copy_out
from credstore_pipeline.core.target.connect import make_engine, transaction
from credstore_pipeline.core.target.lock import take_lock
from credstore_pipeline.core.target.retry import retrying

ROUNDS = 5
"""How often rows that the application wrote meanwhile are looked at again."""

_STORED = pa.schema([("id", pa.string()), ("password", pa.string())])
_ROLLED_BACK = "The transaction is rolled back; the target is as it was."


@dataclass(frozen=True)
class Rotated:
    """What a rotation did.

    Attributes:
        by_key: Former key's public name -> passwords that were sealed anew.
        already: Passwords that stood under the target key.
        plaintext: Passwords that stand in the clear, and stay so: nobody sealed them.
        unopened: Ids of rows that no key opens; left as they are.
        wrapped: Whether the data key was wrapped anew.
        manifests: Snapshots whose manifests were sealed anew, after the commit.
    """

    by_key: dict[str, int]
    already: int
    plaintext: int
    unopened: tuple[str, ...]
    wrapped: bool
    manifests: int = 0

    @property
    def resealed(self) -> int:
        """Passwords that were sealed anew."""
        return sum(self.by_key.values())


@dataclass
class _Found:
    """Rows by what was found, over all rounds."""

    by_key: Counter[str] = field(default_factory=Counter)
    already: int = 0
    plaintext: int = 0
    unopened: tuple[str, ...] = ()


def rotate_target_key(deployment: Deployment, ring: KeyRing, run_id: str, log: Callable[[str], None]) -> Rotated:
    """Seal anew what the pipeline or the application sealed under another key than the target key.

    Passwords whose sealed text is written meanwhile by the application are looked at again. The manifests of the
    snapshots are files and follow the commit: nothing that is rolled back has touched them, and what a kill kept from
    being written a second run writes. Otherwise a second run finds nothing to do.

    Raises:
        Refused: If nothing was loaded yet.
        TargetKeyChanged: If the former target key is not among the keys given.
        LoadLocked: If a load is going on.
        ProofFailed: If a password, sealed anew and opened again, is not what it was; everything is rolled back.
        SnapshotNotProven: If manifests cannot be written; the rotation stands.
    """
    engine = make_engine(deployment.target, run_id).execution_options(isolation_level="READ COMMITTED")

    def once() -> tuple[Rotated, list[Resealed]]:
        with transaction(engine, "rotation", deployment.target.schema) as connection:
            take_lock(connection, deployment.target.schema, deployment.policies.lock_wait_s)
            return _rotate(connection, deployment, ring)

    done, waiting = retrying(once)
    for key_id, count in done.by_key.items():
        log(f"{count} passwords under {key_id} were sealed anew under the target key.")
    write_manifests(waiting, ring)
    return done


def _rotate(connection: Connection, deployment: Deployment, ring: KeyRing) -> tuple[Rotated, list[Resealed]]:
    books = open_books(connection, ring)
    if books.wrapped_data_key is None:
        raise Refused("rotation", "nothing was loaded yet", todo="Launch `migrate`: it seals under the target key.")
    data_key, by_primary = unwrap_data_key(books.wrapped_data_key, ring)
    meaning, found = Meaning(data_key, ring), _Found()
    with SecretPool(ring, meaning.secret_key) as pool:
        for _ in range(ROUNDS):
            if not _round(connection, deployment.target.schema, pool, found):
                break
        else:
            raise TransientTargetError(
                f"{deployment.target.schema}.credentials",
                f"the application wrote the same rows again and again, {ROUNDS} times",
                state=_ROLLED_BACK,
                todo="Run it when the application is quieter.",
            )
    if not by_primary:
        connection.exec_driver_sql("UPDATE credstore_sync.data_key SET wrapped = %s", (wrap_data_key(data_key, ring),))
    waiting = reseal_books(connection, deployment, ring)
    done = Rotated(dict(found.by_key), found.already, found.plaintext, found.unopened, not by_primary, len(waiting))
    return done, waiting


def _round(connection: Connection, schema: str, pool: SecretPool, found: _Found) -> int:
    """Seal anew what is left, and tell how many of these rows the application wrote meanwhile."""
    table = qualified(schema, "credentials")
    stored = copy_out(connection, f"SELECT id, password FROM {table} WHERE password <> '' ORDER BY id", _STORED)
    exact = pc.is_valid(pool.fingerprint(stored["id"], stored["password"], only_primary=True)["fingerprint"])
    left = stored.filter(pc.invert(exact))
    judged = pool.judge(left["id"], left["password"])
    plaintext = pc.equal(judged["encoding"], Encoding.PLAINTEXT.value)
    opened = pc.and_(pc.equal(judged["verdict"], "opened"), pc.invert(plaintext))
    shut = pc.and_(pc.invert(opened), pc.invert(plaintext))
    found.already = stored.num_rows - left.num_rows - sum(found.by_key.values())
    found.plaintext = int(pc.sum(plaintext).as_py() or 0)
    found.unopened = tuple(left["id"].filter(shut).to_pylist())
    left, judged = left.filter(opened), judged.filter(opened)
    if not left.num_rows:
        return 0
    again = pool.fingerprint(left["id"], judged["sealed"], only_primary=True)["fingerprint"]
    if again.to_pylist() != judged["fingerprint"].to_pylist():
        raise ProofFailed(
            f"{schema}.credentials",
            "passwords sealed anew under the primary Fernet key do not read back as they were",
            state=_ROLLED_BACK,
        )
    resealed = left.append_column("sealed", judged["sealed"]).append_column("key_id", judged["key_id"])
    put_table(connection, "rotated", resealed, "id text, password text, sealed text, key_id text")
    written = connection.exec_driver_sql(
        f"UPDATE {table} t SET password = r.sealed FROM pg_temp.rotated r "
        "WHERE t.id = r.id AND t.password = r.password RETURNING r.key_id"
    ).scalars()
    keys = list(written)
    found.by_key.update(keys)
    return int(left.num_rows) - len(keys)
