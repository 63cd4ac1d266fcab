"""Deletes in the target what was deleted in the source, unless the target has changed it or uses it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from credstore_pipeline.core.errors import ProofFailed
from credstore_pipeline.core.load.columns import substance
from credstore_pipeline.core.load.reading import put_ids, qualified
from credstore_pipeline.core.sync.bases import bury, read_base
from credstore_pipeline.core.sync.book import WAITING, WHOLE_ROW, Conflict
from credstore_pipeline.core.sync.locking import hold
from credstore_pipeline.core.sync.merge import moved
from credstore_pipeline.core.sync.passage import Passage, as_values, essence
from credstore_pipeline.core.sync.policy import row_policy
from credstore_pipeline.core.sync.presence import Departed
from credstore_pipeline.core.sync.uses import used_elsewhere


@dataclass
class Judged:
    """What becomes of rows that are gone from the source and still in the target.

    Attributes:
        deleted: They go.
        left: They are the target's own from now on.
        waiting: They stay until a person decides.
    """

    deleted: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)


def delete_departed(work: Passage, departed: Mapping[str, Departed]) -> dict[str, int]:
    """Follow the source's deletions, associations with their credential; leave a tombstone for each.

    Returns:
        Rows deleted, by table.
    """
    credentials = _judge(work, "credentials", _there(departed["credentials"]))
    links = departed["credential_tags"]
    kept = pa.array([*credentials.left, *credentials.waiting], pa.string())
    with_parent = pc.is_in(links.rows["parent_id"], value_set=kept)
    followers = followers_of(work, credentials.deleted)
    own = links.rows.filter(pc.and_(links.rows["there"], pc.invert(with_parent)))
    alone = own.filter(pc.invert(pc.is_in(own["id"], value_set=pa.array(followers, pa.string()))))
    judged = _judge(work, "credential_tags", list(alone["id"].to_pylist()))
    _note_followers(work, followers)
    _delete(work, "credential_tags", [*judged.deleted, *followers])
    _delete(work, "credentials", credentials.deleted)
    tags = _judge(work, "tags", _there(departed["tags"]))
    _delete(work, "tags", tags.deleted)
    with_left = links.ids(pc.is_in(links.rows["parent_id"], value_set=pa.array(credentials.left, pa.string())))
    for table, found, extra in (
        ("credentials", credentials, []),
        ("credential_tags", judged, [*followers, *with_left]),
        ("tags", tags, []),
    ):
        absent = departed[table].ids(pc.invert(departed[table].rows["there"]))
        bury(work.connection, table, [*found.deleted, *found.left, *extra, *absent])
    return {
        "credentials": len(credentials.deleted),
        "credential_tags": len(judged.deleted) + len(followers),
        "tags": len(tags.deleted),
    }


def delete_with_followers(work: Passage, table: str, ids: list[str]) -> None:
    """Delete rows as a person decided, whatever uses them; ours that go with them have a tombstone too."""
    if table == "credentials":
        following = followers_of(work, ids)
        _note_followers(work, following)
        _delete(work, "credential_tags", following)
        bury(work.connection, "credential_tags", following)
    _delete(work, table, ids)
    bury(work.connection, table, ids)


def _there(departed: Departed) -> list[str]:
    return departed.ids(departed.rows["there"])


def _judge(work: Passage, table: str, ids: list[str]) -> Judged:
    """Unchanged and unused rows go; about the others there is a conflict each."""
    judged = Judged()
    if not ids:
        return judged
    place = f"departed_{table}"
    put_ids(work.connection, place, ids)
    held = hold(work.connection, work.schema, table, place, work.meaning, work.log)
    base = read_base(work.connection, table, held.ids, place)
    changed = moved(table, base, held.packed)
    used = used_elsewhere(work.connection, work.schema, table, place)
    names = substance(table)
    meanings, values = essence(table, held.packed), as_values(table, held.rows)
    for position, row_id in enumerate(held.ids.to_pylist()):
        columns = [name for name, is_changed in zip(names, changed[position], strict=True) if is_changed]
        if not columns and row_id not in used:
            judged.deleted.append(row_id)
            continue
        policy = row_policy(work.policies, columns)
        outcome = WAITING if policy == "manual" else policy
        work.book.found.append(
            Conflict(
                table,
                row_id,
                WHOLE_ROW,
                "deleted_in_source",
                policy,
                outcome,
                None,
                meanings[position],
                None,
                values[position],
            )
        )
        {WAITING: judged.waiting, "source": judged.deleted, "target": judged.left}[outcome].append(row_id)
    return judged


def followers_of(work: Passage, credentials: list[str]) -> list[str]:
    """Every association of ours with one of these credentials."""
    if not credentials:
        return []
    put_ids(work.connection, "leaving", credentials)
    return list(
        work.connection.exec_driver_sql(
            f"SELECT l.id FROM {qualified(work.schema, 'credential_tags')} l "
            "JOIN pg_temp.leaving c ON c.id = l.credential_id JOIN credstore_sync.row_state s "
            "ON s.source_table = 'credential_tags' AND s.row_id = l.id AND s.tombstone_at IS NULL"
        ).scalars()
    )


def _note_followers(work: Passage, ids: list[str]) -> None:
    """What the target had changed of an association is recorded before it goes with its credential."""
    if not ids:
        return
    table = "credential_tags"
    put_ids(work.connection, "following", ids)
    held = hold(work.connection, work.schema, table, "following", work.meaning, work.log)
    base = read_base(work.connection, table, held.ids, "following")
    changed = np.asarray(moved(table, base, held.packed).any(axis=1))
    meanings = essence(table, held.packed)
    values = as_values(table, held.rows.filter(pa.array(changed)))
    for position, value in zip(np.flatnonzero(changed), values, strict=True):
        work.book.found.append(
            Conflict(
                table,
                str(value["id"]),
                WHOLE_ROW,
                "followed",
                "credential",
                "source",
                None,
                meanings[position],
                None,
                value,
            )
        )


def _delete(work: Passage, table: str, ids: list[str]) -> None:
    if ids:
        put_ids(work.connection, "deleted", ids)
        count = work.connection.exec_driver_sql(
            f"DELETE FROM {qualified(work.schema, table)} t USING pg_temp.deleted d WHERE t.id = d.id"
        ).rowcount
        if count != len(ids):
            raise ProofFailed(
                f"{work.schema}.{table}",
                f"{len(ids)} rows were to be deleted, {count} were",
                state="The transaction is rolled back; the target is as it was.",
                todo="Look for triggers or rules on the table.",
            )
