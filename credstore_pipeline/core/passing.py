"""One whole pass without Dagster: take, extract, judge, validate, the gates, load, prove."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa

from credstore_pipeline.core.deployment import Deployment
from credstore_pipeline.core.errors import ProofFailed
from credstore_pipeline.core.frames import TABLES, Frame
from credstore_pipeline.core.judging import PUBLISHED_NOTE, data_key_of, judge
from credstore_pipeline.core.keys.ring import KeyRing
from credstore_pipeline.core.load.transaction import Cargo, Loaded, load
from credstore_pipeline.core.preflight import look_at_target
from credstore_pipeline.core.proofs.prove import prove
from credstore_pipeline.core.source.extract import extract, nothing_of
from credstore_pipeline.core.source.snapshot import snapshot_path
from credstore_pipeline.core.taken import (
    PUBLISHED_BEFORE,
    Taken,
    edits_of,
    is_idle,
    published_before,
    rows_to_read,
    snapshot_ref,
    snapshot_shape,
)
from credstore_pipeline.core.taking import take
from credstore_pipeline.core.validation.gates import Verdict, refusal, require_gates
from credstore_pipeline.core.validation.validate import Validated, validate

STANDS = "What was loaded stands as it is."


def _silent(_: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Passed:
    """A pass that ended well.

    Attributes:
        taken: The snapshot.
        validated: What validation found.
        loaded: What the load did.
        verdicts: The final proofs; none that matters is red.
    """

    taken: Taken
    validated: Validated
    loaded: Loaded
    verdicts: dict[str, Verdict] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """What the load did, as figures by table and kind."""
        return {
            f"{table}_{what}": count for table, counts in self.loaded.counts.items() for what, count in counts.items()
        }


def run_pass(
    deployment: Deployment,
    ring: KeyRing,
    run_id: str,
    *,
    log: Callable[[str], None] = _silent,
    proofs: bool = True,
) -> Passed:
    """Do what the job does, in one call.

    Args:
        deployment: From where to where.
        ring: Its keys.
        run_id: This run.
        log: Takes a line as each stage ends.
        proofs: Whether the final proofs follow the load's own.

    Raises:
        QuarantineRefused: If a gate is red; the target is unchanged.
        ProofFailed: If a final proof is red; what was loaded stands.
        CredstoreError: Whatever a stage refuses.
    """
    taken = take(deployment, ring, run_id, whole=True)
    log("The last load's snapshot still is the source." if taken.reused else f"Snapshot {taken.name} was taken.")
    snapshot = taken.frame
    validated = validated_rows(deployment, ring, run_id, snapshot)
    for gate in (validated.accounted, validated.allowed):
        if not gate.passed:
            raise refusal(gate)
    log(f"{validated.allowed.text} {validated.accounted.text}")
    require_gates(validated.quarantine, deployment.policies)
    loaded = load(deployment, ring, run_id, cargo_of(validated.frames, validated.quarantine, snapshot, ring), log=log)
    verdicts = proven(deployment, ring, run_id) if proofs else {}
    if verdicts:
        log(f"{len(verdicts)} final proofs were made from both sides read anew.")
    return Passed(taken, validated, loaded, verdicts)


def proven(deployment: Deployment, ring: KeyRing, run_id: str) -> dict[str, Verdict]:
    """Make the final proofs; writes nothing.

    Raises:
        ProofFailed: Naming those that are red.
    """
    verdicts = prove(deployment, ring, run_id)
    red = [f"  {name}: {found.text}" for name, found in verdicts.items() if found.fatal and not found.passed]
    if red:
        raise ProofFailed(
            "proofs",
            f"{len(red)} final proofs are red:\n" + "\n".join(red) + "\n",
            state=STANDS,
            todo="Look at the job `verify`; mend what it names.",
        )
    return verdicts


def cargo_of(frames: dict[str, Frame], quarantine: Frame, snapshot: Frame, ring: KeyRing) -> Cargo:
    """Pack what was validated for the load."""
    wrapped, data_key = data_key_of(frames["credentials"], ring)
    published = int(frames["credentials"].notes[PUBLISHED_NOTE])
    return Cargo(
        rows={table: frame.rows for table, frame in frames.items()},
        repairs=pa.concat_tables([frame.tables["repairs"] for frame in frames.values()]),
        tag_map=frames["tags"].tables["tag_map"],
        quarantine=quarantine.rows,
        snapshot=snapshot_ref(snapshot),
        wrapped_data_key=wrapped,
        data_key=data_key,
        edits_of=edits_of(snapshot) or None,
        published=max(published, published_before(snapshot)),
    )


def validated_rows(deployment: Deployment, ring: KeyRing, run_id: str, snapshot: Frame) -> Validated:
    """Everything from the snapshot's file to validated rows."""
    extracted = extracted_rows(deployment, snapshot)
    rows = {table: frame.rows for table, frame in extracted.items()}
    look = look_at_target(deployment, ring, run_id, rows)
    judged = judge(extracted["credentials"], ring, look.wrapped_data_key, deployment.policies)
    return validate(deployment, ring, run_id, snapshot, extracted, judged)


def extracted_rows(deployment: Deployment, snapshot: Frame) -> dict[str, Frame]:
    """The rows of the snapshot that this pass looks at, by table; none if it has nothing to do."""
    path, shape = snapshot_path(deployment.places.backup_dir, snapshot_ref(snapshot).name), snapshot_shape(snapshot)
    frames = {
        table: nothing_of(shape) if is_idle(snapshot) else extract(path, table, shape, rows_to_read(snapshot, table))
        for table in TABLES
    }
    frames["credentials"].notes[PUBLISHED_BEFORE] = str(published_before(snapshot))
    return frames
