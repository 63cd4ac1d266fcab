import subprocess
import sys

import pyarrow as pa
import pytest
from pandera.config import ValidationDepth, config_context

from credstore_pipeline.core.errors import CredstoreError
from credstore_pipeline.core.reasons import Reason
from credstore_pipeline.core.rules import validate_tags
from credstore_pipeline.core.rules.layout import WRITTEN
from credstore_pipeline.core.rules.schemas import broken_rules, table_schema
from credstore_pipeline_tests.core.rules.extracts import LIMITS, SNAPSHOT_TIME, tags, target

STAMP = pa.array([0], pa.timestamp("us"))


def tag_columns(**changes):
    texts = {"id": "t1", "name": "R", "description": None, "color": None} | changes
    columns = {name: pa.array([value], pa.string()) for name, value in texts.items() if isinstance(value, str | None)}
    return (
        {"created_at": STAMP, "updated_at": STAMP}
        | columns
        | {k: v for k, v in changes.items() if isinstance(v, pa.Array)}
    )


@pytest.mark.parametrize("table", WRITTEN)
def test_the_password_is_in_no_schema(table):
    columns = table_schema(table, LIMITS).columns
    assert not [name for name in columns if "password" in name]


def test_rules_are_named_by_reason_and_come_in_their_precedence():
    broken = broken_rules("tags", tag_columns(id="", name="\0", color="#1234567"), LIMITS)
    assert [(column, reason, rows.tolist()) for column, reason, rows in broken] == [
        ("id", Reason.MISSING_VALUE, [0]),
        ("name", Reason.INVALID_TEXT, [0]),
        ("color", Reason.VALUE_TOO_LONG, [0]),
    ]


def test_missing_ids_are_no_duplicates_of_each_other():
    texts = {name: pa.array(["R"] * 6) for name in ("name", "description", "color")}
    stamps = {name: pa.array([0] * 6, pa.timestamp("us")) for name in ("created_at", "updated_at")}
    columns = texts | stamps | {"id": pa.array([None, "", "x", None, "", "x"], pa.string())}
    assert [(reason, rows.tolist()) for _, reason, rows in broken_rules("tags", columns, LIMITS)] == [
        (Reason.MISSING_VALUE, [0, 1, 3, 4]),
        (Reason.DUPLICATE_ID, [2, 5]),
    ]


def test_a_repair_that_left_what_the_target_refuses_is_an_error_without_values():
    columns = tag_columns(name="canary-77d1", created_at=pa.array([None], pa.timestamp("us")))
    with pytest.raises(CredstoreError) as failure:
        broken_rules("tags", columns, LIMITS)
    assert "tags.created_at: a row rule does not hold after the repairs (holds_after_repair, 1 rows)" in str(
        failure.value
    )
    assert "canary" not in str(failure.value)
    assert failure.value.__context__ is None and failure.value.__cause__ is None


def test_a_counter_beyond_int4_never_reaches_the_target():
    counters = {"success_count": pa.array([2**31]), "failure_count": pa.array([0])}
    texts = {name: pa.array(["x"]) for name in ("id", "name", "username", "description", "key_file")}
    with pytest.raises(CredstoreError, match=r"credentials\.success_count"):
        broken_rules("credentials", counters | texts | {"created_at": STAMP, "updated_at": STAMP}, LIMITS)


def test_a_check_that_could_not_be_made_is_an_error():
    with pytest.raises(CredstoreError, match=r"tags\.name: a row rule does not hold"):
        broken_rules("tags", tag_columns(), LIMITS | {("tags", "name"): "fifty"})


def test_a_column_of_another_type_is_an_error_and_not_a_reason():
    with pytest.raises(CredstoreError, match=r"tags\.name: a row rule does not hold"):
        broken_rules("tags", tag_columns(name=pa.array([b"R"], pa.binary())), LIMITS)


@pytest.mark.parametrize(
    "switch", [{"validation_enabled": False}, {"validation_depth": ValidationDepth.SCHEMA_ONLY}], ids=str
)
def test_panderas_own_switches_cannot_turn_the_rules_off(switch):
    """Its environment variables set these, and then everything passes without a word."""
    with config_context(**switch):
        verdict = validate_tags(tags({"name": None}), target(), snapshot_time=SNAPSHOT_TIME)
    assert verdict.quarantine.num_rows == 1


def test_importing_the_rules_does_not_import_pandera_or_pandas():
    program = "import sys, credstore_pipeline.core.rules; print({'pandas', 'pandera'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
