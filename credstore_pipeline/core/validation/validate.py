"""One pass of the row rules over all three tables, ready for the gates and the load."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection

from credstore_pipeline.core.cells import cells_as_text
from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.frames import TABLES, Frame
from credstore_pipeline.core.judging import DATA_KEY_NOTE, PUBLISHED_NOTE, data_key_of
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load.foreign import find_foreign
from credstore_pipeline.core.load.meaning import Meaning
from credstore_pipeline.core.reasons import Reason
from credstore_pipeline.core.rules import (
    TargetView,
    validate_associations,
    validate_credentials,
    validate_tags,
    withdraw,
)
from credstore_pipeline.core.rules import Verdict as RuleVerdict
from credstore_pipeline.core.taken import edits_of
from credstore_pipeline.core.target.connect import make_engine, transaction
from credstore_pipeline.core.target.retry import retrying
from credstore_pipeline.core.target.shape import TargetShape, read_shape
from credstore_pipeline.core.target.sync import sync_exists
from credstore_pipeline.core.validation.gates import ACCOUNTED, LISTED, Verdict, account, allowed
from credstore_pipeline.core.validation.quarantine import RowSealer
from credstore_pipeline.core.validation.view import loaded_among, view_target

DIFFERS = "the target had a row with this id and another meaning before anything was loaded"


@dataclass(frozen=True)
class Validated:
    """What validation found.

    Attributes:
        frames: Validated rows by table, with their repairs.
        quarantine: Sealed rows that stay behind.
        accounted: Whether every extracted row is in exactly one of the two.
        allowed: Whether so many rows may stay behind.
        numbers: Figures to compare over time.
    """

    frames: dict[str, Frame]
    quarantine: Frame
    accounted: Verdict
    allowed: Verdict
    numbers: dict[str, int | float]

    @property
    def quarantined_by_reason(self) -> list[dict[str, Any]]:
        """Table, reason, rows; the most first."""
        return _counted(self.quarantine.rows, ("source_table", "reason"))

    @property
    def quarantined_rows(self) -> list[dict[str, Any]]:
        """The first quarantined rows by id, with reason and detail."""
        shown = self.quarantine.rows.select(["source_table", "source_id", "source_rowid", "reason", "detail"])
        return list(shown.slice(0, LISTED).to_pylist())

    @property
    def repairs_by_rule(self) -> list[dict[str, Any]]:
        """Table, column, rule, rows; the most first."""
        repairs = pa.concat_tables([frame.tables["repairs"] for frame in self.frames.values()])
        return _counted(repairs, ("source_table", "column_name", "rule"))

    @property
    def tags_that_differ(self) -> list[dict[str, Any]]:
        """Tags whose id the target has with another name or colour; the target's stays."""
        return list(self.frames["tags"].tables["differing"].slice(0, LISTED).to_pylist())

    @property
    def mapped_tags(self) -> list[dict[str, Any]]:
        """Source tag, target tag, how."""
        mapped = self.frames["tags"].tables["tag_map"].select(["source_id", "target_id", "how"])
        return list(mapped.slice(0, LISTED).to_pylist())


def validate(
    deployment: Deployment,
    ring: KeyRing,
    run_id: str,
    snapshot: Frame,
    extracted: dict[str, Frame],
    judged: Frame,
    *,
    partial: bool = False,
    agreed: bool = False,
) -> Validated:
    """Apply the row rules to all extracted rows; only reads the target.

    Args:
        deployment: Whose target, and which policies.
        ring: Opens what stands in the target.
        run_id: This run.
        snapshot: Its note `began_at` stands for a time that nothing else tells.
        extracted: Rows by table.
        judged: The verdicts on the credentials' passwords.
        partial: Whether the rows are some of the source alone, so that parents loaded earlier count as there; those of
            a snapshot's edits always are.
        agreed: Whether the rows were written from the target, whose tags then all are the source's.

    Raises:
        ShapeRefused: If the target's tables have a shape that is not the application's.
        TargetError: If the target cannot be read.
    """
    _, data_key = data_key_of(judged, ring)
    meaning, sealer = Meaning(data_key, ring), RowSealer(data_key)
    began_at = datetime.fromisoformat(snapshot.notes["began_at"])
    some = partial or bool(edits_of(snapshot))
    engine = make_engine(deployment.target, run_id)

    def judge_against_target() -> dict[str, RuleVerdict]:
        with transaction(engine, "validation", deployment.target.schema) as connection:
            shape = read_shape(connection, deployment.target.schema)
            view = view_target(connection, shape, deployment.policies, meaning, agreed=agreed)
            return _apply_rules(connection, shape, view, meaning, deployment, extracted, judged, began_at, some)

    verdicts = retrying(judge_against_target)
    frames = {table: verdict.frame for table, verdict in verdicts.items()}
    refused = [sealer.seal(verdicts[table].quarantine, extracted[table].rows) for table in TABLES]
    quarantine = pa.concat_tables(refused)
    frames["credentials"].notes.update({note: judged.notes[note] for note in (DATA_KEY_NOTE, PUBLISHED_NOTE)})
    accounted = account(
        {table: frame.rows for table, frame in extracted.items()},
        {table: frame.rows for table, frame in frames.items()},
        frames["tags"].tables["tag_map"],
        quarantine,
    )
    permitted = allowed(quarantine, deployment.policies)
    repaired = sum(frame.tables["repairs"].num_rows for frame in frames.values())
    reported = {
        "duplicate_pairs": int(frames["credential_tags"].notes["duplicate_pairs"]),
        "tags_that_differ": int(frames["tags"].notes["tags_that_differ"]),
        "tags_mapped": frames["tags"].tables["tag_map"].num_rows,
    }
    numbers = {**accounted.numbers, **permitted.numbers, "repairs": repaired, **reported}
    held = Frame({"rows": quarantine}, {ACCOUNTED: str(accounted.passed).lower()})
    return Validated(frames, held, accounted, permitted, numbers)


def _apply_rules(
    connection: Connection,
    shape: TargetShape,
    view: TargetView,
    meaning: Meaning,
    deployment: Deployment,
    extracted: dict[str, Frame],
    judged: Frame,
    snapshot_time: datetime,
    partial: bool,
) -> dict[str, RuleVerdict]:
    has_base = sync_exists(connection)

    def unless_foreign(table: str, verdict: RuleVerdict) -> RuleVerdict:
        """Take out rows whose id the target has with another meaning; it is not ours to overwrite."""
        if not shape.present(table) or not verdict.frame.rows.num_rows:
            return verdict
        foreign = find_foreign(connection, shape.schema, table, verdict.frame.rows, meaning, has_base=has_base)
        return withdraw(table, verdict, extracted[table], foreign.differing, Reason.TARGET_DIFFERS, DIFFERS)

    tags = validate_tags(extracted["tags"], view, snapshot_time=snapshot_time)
    credentials = unless_foreign(
        "credentials", validate_credentials(extracted["credentials"], judged.rows, view, snapshot_time=snapshot_time)
    )
    refused = credentials.quarantine["source_id"].drop_null().to_pylist()
    if partial and "credential_id" in extracted["credential_tags"].rows.column_names:
        parents = cells_as_text(extracted["credential_tags"].rows["credential_id"])[0]
        refused += parents.drop_null().unique().to_pylist()
    view = replace(view, loaded_credentials=loaded_among(connection, refused) if has_base else frozenset())
    links, placeholders = validate_associations(
        extracted["credential_tags"],
        credentials.frame,
        extracted["credentials"],
        tags,
        view,
        missing_tags=deployment.policies.missing_tags,
        snapshot_time=snapshot_time,
    )
    if placeholders.num_rows:
        tags.frame.tables["rows"] = pa.concat_tables([tags.frame.rows, placeholders])
    return {"tags": tags, "credentials": credentials, "credential_tags": unless_foreign("credential_tags", links)}


def _counted(rows: pa.Table, names: tuple[str, ...]) -> list[dict[str, Any]]:
    counts = Counter(tuple(row.values()) for row in rows.select(list(names)).to_pylist())
    return [{**dict(zip(names, key, strict=True)), "rows": count} for key, count in counts.most_common()]
