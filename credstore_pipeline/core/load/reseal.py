"""Seals anew what stands in the target under a former target key, inside the load's transaction."""

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from credstore_pipeline.core.data_key import wrap_data_key
from credstore_pipeline.core.errors import ProofFailed
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load.meaning import Meaning
from credstore_pipeline.core.load.reading import put_table, qualified
from credstore_pipeline.core.secrets.pool import SecretPool
from credstore_pipeline.core.target.bulk import copy_out

_STORED = pa.schema([("id", pa.string()), ("password", pa.string())])


def reseal(connection: Connection, schema: str, ring: KeyRing, meaning: Meaning, data_key: bytes) -> int:
    """Re-encrypt every loaded password that the primary Fernet key does not open, and wrap the data key anew.

    A password that no key opens is left as it is and never wrapped again; the final proofs name it.

    Returns:
        Passwords sealed anew.

    Raises:
        ProofFailed: If a password, sealed anew and opened again, is not what it was.
    """
    table = qualified(schema, "credentials")
    stored = copy_out(
        connection,
        f"SELECT t.id, t.password FROM {table} t JOIN credstore_sync.row_state s "
        "ON s.source_table = 'credentials' AND s.row_id = t.id AND NOT s.adopted WHERE t.password <> '' ORDER BY t.id",
        _STORED,
    )
    with SecretPool(ring, meaning.secret_key) as pool:
        under_primary = pool.fingerprint(stored["id"], stored["password"], only_primary=True)["fingerprint"]
        stored = stored.filter(pc.is_null(under_primary))
        judged = pool.judge(stored["id"], stored["password"])
        opened = pc.equal(judged["verdict"], "opened")
        stored, judged = stored.filter(opened), judged.filter(opened)
        again = pool.fingerprint(stored["id"], judged["sealed"], only_primary=True)["fingerprint"]
    if again.to_pylist() != judged["fingerprint"].to_pylist():
        raise ProofFailed(
            f"{schema}.credentials",
            "passwords sealed anew under the primary Fernet key do not read back as they were",
            state="The transaction is rolled back; the target is as it was.",
        )
    if stored.num_rows:
        put_table(
            connection,
            "resealed",
            stored.append_column("sealed", judged["sealed"]),
            "id text, password text, sealed text",
        )
        connection.exec_driver_sql(
            f"UPDATE {table} t SET password = r.sealed FROM pg_temp.resealed r "
            "WHERE t.id = r.id AND t.password = r.password"
        )
    connection.exec_driver_sql("UPDATE credstore_sync.data_key SET wrapped = %s", (wrap_data_key(data_key, ring),))
    return int(stored.num_rows)
