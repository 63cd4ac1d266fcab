"""Claims about rows: none lost, none doubled, none without its parents, the application's order kept."""

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from credstore_pipeline.core.cells import cells_as_text
from credstore_pipeline.core.frames import TABLES
from credstore_pipeline.core.load.reading import qualified
from credstore_pipeline.core.proofs.evidence import Evidence, changed_since
from credstore_pipeline.core.rules.numbers import priorities
from credstore_pipeline.core.validation.gates import Figures, Verdict

SHOWN = 10


def row_counts_match(evidence: Evidence) -> Verdict:
    """Every snapshot row has a base (or a mapped tag) or is quarantined, by key.

    A row loaded earlier and refused since is rightly both: its last good state stays in the target. Nothing was
    loaded before the initial load, so that a row which that one refused must not be both.
    """
    faults: list[str] = []
    numbers: Figures = {}
    for table in TABLES:
        ids, rowids = evidence.source_ids[table], evidence.source[table]["source_rowid"].combine_chunks()
        # A row that came back as it was stays deleted: its tombstone accounts for it.
        known = pa.concat_arrays([evidence.base[table]["row_id"].combine_chunks(), evidence.buried[table]])
        if table == "tags":
            known = pa.concat_arrays([known, pa.array(list(evidence.tag_map), pa.string())])
        loaded, held = pc.is_in(ids, value_set=known), pc.is_in(rowids, value_set=evidence.held(table))
        neither = pc.invert(pc.or_(loaded, held))
        if table == "credential_tags":
            # A new association of a parent that the application deleted stays out, as its parent does.
            neither = pc.and_(neither, pc.invert(_parent_deleted(evidence)))
        doubled = pc.and_(loaded, pc.is_in(rowids, value_set=evidence.held(table, at_first=True)))
        for what, mask in (("lost: neither loaded nor quarantined", neither), ("both loaded and quarantined", doubled)):
            count = pc.sum(mask).as_py() or 0
            if count:
                shown = ", ".join(str(i) for i in ids.filter(mask).slice(0, SHOWN).to_pylist())
                faults.append(f"{table}: {count} rows {what} (id {shown})")
        there = evidence.target[table].num_rows
        numbers |= {
            f"{table}_in_snapshot": len(ids),
            f"{table}_in_target": there,
            f"{table}_quarantined": len(evidence.held(table)),
            f"{table}_refused_since_loaded": pc.sum(pc.and_(loaded, held)).as_py() or 0,
            f"{table}_deleted_in_target_since": evidence.base[table].num_rows - there,
        }
    return Verdict(not faults, "; ".join(faults) or "Every row of the snapshot is accounted for, by key.", numbers)


def _parent_deleted(evidence: Evidence) -> pa.Array:
    """Which associations of the source have a credential or tag that was loaded and is gone from the target."""
    rows = evidence.source["credential_tags"]
    if "credential_id" not in rows.column_names:
        return pa.array([False] * rows.num_rows, pa.bool_())
    gone = set(evidence.base["credentials"]["row_id"].to_pylist()) - set(
        evidence.target["credentials"]["id"].to_pylist()
    )
    gone |= set(evidence.buried["credentials"].to_pylist())
    known = {
        *evidence.base["tags"]["row_id"].to_pylist(),
        *evidence.buried["tags"].to_pylist(),
        *evidence.tag_map.values(),
    }
    gone_tags = known - _tags_there(evidence)
    gone_tags |= {source for source, target in evidence.tag_map.items() if target in gone_tags}
    by_credential = pc.is_in(_text(rows, "credential_id"), value_set=pa.array(sorted(gone), pa.string()))
    return pc.or_(by_credential, pc.is_in(_text(rows, "tag_id"), value_set=pa.array(sorted(gone_tags), pa.string())))


def _text(rows: pa.Table, column: str) -> pa.Array:
    return cells_as_text(rows[column].combine_chunks())[0]


def no_orphans(evidence: Evidence) -> Verdict:
    """No association of ours points to a credential or tag that is missing, unless the application deleted it."""
    links = qualified(evidence.schema, "credential_tags")
    faults: list[str] = []
    numbers: Figures = {}
    for parent, column in (("credentials", "credential_id"), ("tags", "tag_id")):
        missing = evidence.connection.exec_driver_sql(
            f"SELECT l.id, EXISTS (SELECT FROM credstore_sync.row_state b WHERE b.source_table = '{parent}' "
            f"AND b.row_id = l.{column}) "
            f"OR EXISTS (SELECT FROM credstore_sync.tag_map m WHERE m.target_id = l.{column}) "
            f"FROM {links} l JOIN credstore_sync.row_state s ON s.source_table = 'credential_tags' AND s.row_id = l.id "
            f"WHERE NOT EXISTS (SELECT FROM {qualified(evidence.schema, parent)} p WHERE p.id = l.{column})"
        ).all()
        orphans = [row_id for row_id, deleted_since in missing if not deleted_since]
        numbers[f"without_{parent}"] = len(orphans)
        numbers[f"{parent}_deleted_in_target_since"] = len(missing) - len(orphans)
        if orphans:
            faults.append(f"{len(orphans)} associations without their {parent} (id {', '.join(orphans[:SHOWN])})")
    return Verdict(not faults, "; ".join(faults) or "Every association has its credential and its tag.", numbers)


def selection_order_matches(evidence: Evidence) -> Verdict:
    """Per tag, credentials come in the source's order: priority descending, ties as sets."""
    joined = _both_priorities(evidence)
    if joined.empty:
        return Verdict(True, "There are no associations to compare.", {"tags_compared": 0})
    moved = (joined["tag"] != joined["tag_id"]) | (joined["credential"] != joined["credential_id"])
    suspects = joined[moved | joined["tag"].isin(_out_of_order(joined))]["id"].tolist()
    columns = ["credential_id", "tag_id", "priority"]
    explained = changed_since(evidence, "credential_tags", suspects, columns, or_apart=True)
    left = ~joined["id"].isin(explained)
    wrong = _out_of_order(joined[left & ~moved]) | set(joined.loc[left & moved, "tag"])
    numbers: Figures = {
        "tags_compared": int(joined["tag"].nunique()),
        "tags_out_of_order": len(wrong),
        "changed_in_target_since": len(explained),
    }
    shown = ", ".join(sorted(wrong)[:SHOWN])
    text = f"Credentials of {len(wrong)} tags come in another order (tag id {shown})." if wrong else "Order is kept."
    return Verdict(not wrong, text, numbers)


def _out_of_order(joined: pd.DataFrame) -> set[str]:
    """Tags whose dense ranks by priority differ between the two sides; NULL counts as 0.0 in the source."""
    by_tag = joined.groupby("tag", sort=False)
    here = by_tag["source"].rank("dense", ascending=False)
    there = by_tag["target"].rank("dense", ascending=False)
    return set(joined.loc[here != there, "tag"])


def _both_priorities(evidence: Evidence) -> pd.DataFrame:
    rows = evidence.source["credential_tags"]
    if not rows.num_rows or "tag_id" not in rows.column_names:
        return pd.DataFrame({"id": [], "tag": [], "source": [], "target": []})
    tags = _text(rows, "tag_id").to_pandas()
    source = pd.DataFrame(
        {
            "id": evidence.source_ids["credential_tags"].to_pandas(),
            "credential": _text(rows, "credential_id").to_pandas(),
            "tag": tags.map(lambda tag: evidence.tag_map.get(tag, tag)),
            "source": priorities(rows["priority"].combine_chunks()) if "priority" in rows.column_names else 0.0,
        }
    )
    target = evidence.target["credential_tags"].select(["id", "credential_id", "tag_id", "priority"]).to_pandas()
    joined = source.merge(target.rename(columns={"priority": "target"}), on="id")
    # Nobody selects by a tag that the application deleted; what pointed to it is left as it is.
    return joined[joined["tag"].isin(_tags_there(evidence))]


def _tags_there(evidence: Evidence) -> set[str]:
    sql = f"SELECT id FROM {qualified(evidence.schema, 'tags')}"
    return set(evidence.connection.exec_driver_sql(sql).scalars())
