"""The new file as the base's source: the next re-sync finds nothing to do."""

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from credstore_pipeline.core.cutover.record import clear_cutover
from credstore_pipeline.core.data_key import TargetPurpose, target_subkey, unwrap_data_key
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.frames import TABLES
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load.ledger import SnapshotRef, open_books, put_run, put_tag_map
from credstore_pipeline.core.load.meaning import Meaning
from credstore_pipeline.core.load.reading import put_table, qualified
from credstore_pipeline.core.rollback.proof import Proven
from credstore_pipeline.core.source.snapshot import take_snapshot
from credstore_pipeline.core.sync.bases import bury, put_base
from credstore_pipeline.core.target.bulk import copy_out
from credstore_pipeline.core.target.connect import target_now

_KNOWN = pa.schema([("row_id", pa.string())])


def rebase(connection: Connection, deployment: Deployment, ring: KeyRing, run_id: str, proven: Proven) -> None:
    """Write the base from what was proven, a run with the new file's snapshot, and clear the cutover.

    Args:
        connection: The rollback's transaction, which holds the load's lock and the tables.
        deployment: Whose store is the new file by now.
        ring: Its keys.
        run_id: This run.
        proven: The new file's rows beside the target's.
    """
    books = open_books(connection, ring)
    assert books.wrapped_data_key
    meaning = Meaning(unwrap_data_key(books.wrapped_data_key, ring).data_key, ring)
    started_at = target_now(connection)
    _rename_links(connection, deployment.target.schema, proven)
    counts = {}
    for table in TABLES:
        counts[table] = {"rebased": _rebase_table(connection, table, proven, meaning)}
    tags = proven.validated.frames["tags"]
    # The application's own tags stand in the file under their own ids now, and for themselves.
    put_tag_map(connection, tags.tables["tag_map"], tags.rows["id"], run_id)
    snapshot = take_snapshot(
        deployment.source.sqlite_path,
        deployment.places.backup_dir,
        target_subkey(ring, TargetPurpose.SOURCE_DIGEST),
        lambda: target_now(connection),
        run_id[:8],
    )
    manifest = snapshot.manifest
    ref = SnapshotRef(
        snapshot.name, manifest.began_at, manifest.ended_at, manifest.digest.value, snapshot.shape.flavour
    )
    put_run(connection, run_id=run_id, kind="resync", snapshot=ref, started_at=started_at, counts=counts)
    clear_cutover(connection, run_id)


def _rebase_table(connection: Connection, table: str, proven: Proven, meaning: Meaning) -> int:
    validated, rows = proven.validated.frames[table].rows, proven.rows[table]
    there = rows.filter(pc.is_in(rows["id"], validated["id"].combine_chunks()))
    mine = validated.take(pc.index_in(there["id"], validated["id"].combine_chunks()))
    packed = meaning.of_validated(table, mine)
    stored, _ = meaning.of_stored(table, there, only_primary=False)
    known = copy_out(
        connection,
        f"SELECT row_id FROM credstore_sync.row_state WHERE source_table = '{table}' AND tombstone_at IS NULL",
        _KNOWN,
    )["row_id"]
    ours = pc.is_in(there["id"], known.combine_chunks()).combine_chunks()
    # What the application made since stands in both stores now, and is its own.
    for mask, adopted in ((ours, None), (pc.invert(ours), True)):
        places = mask.to_numpy(zero_copy_only=False)
        put_base(
            connection,
            table,
            mine.filter(mask),
            packed[places],
            target=stored[places],
            stored=there.filter(mask),
            adopted=adopted,
        )
    held = set(proven.validated.quarantine.rows["source_id"].to_pylist())
    present = set(there["id"].to_pylist()) | held
    bury(connection, table, [row_id for row_id in known.to_pylist() if row_id not in present])
    return int(there.num_rows)


def _rename_links(connection: Connection, schema: str, proven: Proven) -> None:
    """Associations get the id that the file gives them in the target too; nothing refers to these ids."""
    if proven.aliases:
        aliases = pa.table({"id": list(proven.aliases), "made": list(proven.aliases.values())})
        put_table(connection, "aliases", aliases, "id text, made text")
        connection.exec_driver_sql(
            f"UPDATE {qualified(schema, 'credential_tags')} t SET id = a.made FROM pg_temp.aliases a WHERE t.id = a.id"
        )
