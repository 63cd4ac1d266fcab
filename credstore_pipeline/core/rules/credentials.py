"""Validates credentials: names and keys as they are, statistics repaired, passwords as they were judged."""

from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from credstore_pipeline.core.errors import CredstoreError
from credstore_pipeline.core.frames import Frame
from credstore_pipeline.core.reasons import Reason
from credstore_pipeline.core.rules.faults import Faults
from credstore_pipeline.core.rules.layout import TEXTS, WRITTEN
from credstore_pipeline.core.rules.numbers import read_switches
from credstore_pipeline.core.rules.parts import as_mask
from credstore_pipeline.core.rules.repairs import Repairs, Rule
from credstore_pipeline.core.rules.schemas import broken_rules
from credstore_pipeline.core.rules.statistics import repair_counters, repair_last, repair_stamps
from credstore_pipeline.core.rules.texts import describe, read_text, usable_ids
from credstore_pipeline.core.rules.verdict import TargetView, Verdict

TABLE = "credentials"

_SEALED = ("opened", "null", "empty")
_REFUSED = {
    "undecryptable": (Reason.UNDECRYPTABLE_SECRET, "password: no key opens it"),
    "plaintext_refused": (Reason.PLAINTEXT_REFUSED, "password: stands in the clear"),
    "invalid_text": (Reason.INVALID_TEXT, "password: bytes that are not UTF-8"),
}
"""Verdict of the judging -> reason and detail."""


def validate_credentials(extracted: Frame, judged: pa.Table, target: TargetView, *, snapshot_time: datetime) -> Verdict:
    """Sort extracted credentials into rows for the target and refused rows.

    Args:
        extracted: The credentials as extracted; their password column is not read.
        judged: One row an extracted row, in the same order: `source_rowid`, `verdict`, `sealed`, `fingerprint`.
        target: What is known of the target.
        snapshot_time: When the snapshot was taken, by the target's clock.

    Raises:
        CredstoreError: If `judged` is not of these rows, or says opened where nothing was sealed.
    """
    rows = extracted.rows
    _check_judged(rows, judged)
    faults, repairs = Faults(rows.num_rows), Repairs(TABLE)
    read = {column: read_text(rows, column) for column in TEXTS[TABLE]}
    columns: dict[str, pa.Array] = {column: text.text for column, text in read.items()}
    columns |= repair_counters(rows, repairs) | repair_last(rows, repairs)
    columns |= repair_stamps(TABLE, rows, columns["id"], target, snapshot_time, repairs)
    columns["use_keys"] = _use_keys(rows, repairs)
    for column in ("description", "key_file"):
        if column not in rows.column_names:
            repairs.note_absent(column, Rule.COLUMN_ABSENT_TO_NULL)

    for column, reason, broken in broken_rules(TABLE, columns, target.limits):
        details = describe(column, read[column], reason, broken, target.limits[TABLE, column])
        faults.add(reason, broken, details)
    _refuse_secrets(judged, target.limits[TABLE, "password"], faults)

    columns |= {
        "source_rowid": rows["source_rowid"],
        "password": judged["sealed"],
        "password_fp": judged["fingerprint"],
    }
    written = pa.table({name: columns[name] for name in WRITTEN[TABLE].names}).filter(pa.array(faults.sound))
    frame = Frame({"rows": written.cast(WRITTEN[TABLE]), "repairs": repairs.listed(columns["id"], faults.sound)})
    refused = faults.refused(TABLE, rows["source_rowid"].combine_chunks(), usable_ids(columns["id"]))
    return Verdict(frame, refused)


def _use_keys(rows: pa.Table, repairs: Repairs) -> pa.Array:
    if "use_keys" not in rows.column_names:
        repairs.note_absent("use_keys", Rule.COLUMN_ABSENT_TO_FALSE, "false")
        return pa.array(np.zeros(rows.num_rows, dtype=np.bool_))
    switches, noted = read_switches(rows["use_keys"])
    column = pa.array(switches)
    repairs.note("use_keys", noted, column)
    return column


def _refuse_secrets(judged: pa.Table, limit: int | None, faults: Faults) -> None:
    verdicts, sealed = judged["verdict"].combine_chunks(), judged["sealed"].combine_chunks()
    for verdict, (reason, detail) in _REFUSED.items():
        faults.add(reason, np.flatnonzero(as_mask(pc.equal(verdicts, verdict))), detail)
    if limit is not None:
        lengths = pc.utf8_length(sealed)
        long = np.flatnonzero(as_mask(pc.fill_null(pc.greater(lengths, limit), False)))
        details = [
            f"password: {length} characters sealed, the column holds {limit}"
            for length in lengths.take(pa.array(long)).to_pylist()
        ]
        faults.add(Reason.SECRET_TOO_LONG, long, details)


def _check_judged(rows: pa.Table, judged: pa.Table) -> None:
    """Hold the judged table against the extracted one: a password must never meet another row."""
    todo = "This is a defect of the pipeline; please report it."
    if not judged["source_rowid"].combine_chunks().equals(rows["source_rowid"].combine_chunks()):
        raise CredstoreError(TABLE, "the judged rows are not the extracted ones", todo=todo)
    verdicts = judged["verdict"].combine_chunks()
    known = pc.is_in(verdicts, value_set=pa.array([*_SEALED, *_REFUSED]))
    unsealed = pc.and_(pc.is_in(verdicts, value_set=pa.array(["opened", "empty"])), pc.is_null(judged["sealed"]))
    for wrong, count in (
        ("an unknown verdict", pc.sum(pc.invert(known)).as_py()),
        ("opened and yet not sealed", pc.sum(unsealed).as_py()),
    ):
        if count:
            raise CredstoreError(f"{TABLE}.password", f"{count} rows were judged {wrong}", todo=todo)
