import pyarrow as pa
import pytest

from credstore_pipeline.core.errors import CredstoreError
from credstore_pipeline.core.rules import validate_credentials
from credstore_pipeline.core.rules.layout import WRITTEN
from credstore_pipeline.core.rules.timestamps import in_micros
from credstore_pipeline_tests.core.rules.extracts import (
    CREDENTIAL,
    LIMITS,
    SNAPSHOT_TIME,
    credentials,
    extracted,
    judged,
    refused,
    repaired,
    target,
)
from credstore_pipeline_tests.core.rules.test_isoformat import at

NOW = in_micros(SNAPSHOT_TIME)


def validate(frame, *judgements, at=SNAPSHOT_TIME, **known):
    return validate_credentials(frame, judged(frame, *judgements), target(**known), snapshot_time=at)


def stamps(verdict, column="created_at"):
    return verdict.frame.rows[column].cast(pa.int64()).to_pylist()


def test_a_sound_row_is_written_as_it_is_with_its_sealed_password():
    verdict = validate(
        credentials({"description": 'a,"b"\r\n', "use_keys": 1, "key_file": "/k", "last_used": "2025-03-20"})
    )
    assert verdict.frame.rows.schema == WRITTEN["credentials"]
    assert verdict.frame.rows.drop_columns(["last_used", "created_at", "updated_at"]).to_pylist() == [
        {
            "source_rowid": 11,
            "id": "c1",
            "name": "Router",
            "description": 'a,"b"\r\n',
            "username": "admin",
            "password": "sealed",
            "use_keys": True,
            "key_file": "/k",
            "success_count": 3,
            "failure_count": 1,
            "last_success": None,
            "last_failure": None,
            "password_fp": b"8 bytes.",
        }
    ]
    assert stamps(verdict) == [at(2025, 3, 24, 9, 0, 0, 250_000)]
    assert stamps(verdict, "updated_at") == [at(2025, 3, 25, 10)]
    assert stamps(verdict, "last_used") == [at(2025, 3, 20)]
    assert verdict.quarantine.num_rows == verdict.frame.tables["repairs"].num_rows == 0


@pytest.mark.parametrize(
    ("change", "source_id", "reason", "detail"),
    [
        ({"id": None}, None, "missing_value", "id: NULL"),
        ({"id": ""}, "", "missing_value", "id: empty"),
        ({"name": None}, "c1", "missing_value", "name: NULL"),
        ({"username": None}, "c1", "missing_value", "username: NULL"),
        ({"id": "a\0"}, None, "invalid_text", "id: a NUL character"),
        ({"id": b"\xff"}, None, "invalid_text", "id: bytes that are not UTF-8"),
        ({"name": "be\0fore"}, "c1", "invalid_text", "name: a NUL character"),
        ({"username": "caf\udce9"}, "c1", "invalid_text", "username: bytes that are not UTF-8"),
        ({"description": "\0"}, "c1", "invalid_text", "description: a NUL character"),
        ({"description": b"\xde\xad\xbe"}, "c1", "invalid_text", "description: bytes that are not UTF-8"),
        ({"key_file": "/a\0b"}, "c1", "invalid_text", "key_file: a NUL character"),
        ({"id": "i" * 37}, "i" * 37, "value_too_long", "id: 37 characters, the column holds 36"),
        ({"name": "é" * 256}, "c1", "value_too_long", "name: 256 characters, the column holds 255"),
        ({"username": "u" * 255 + " "}, "c1", "value_too_long", "username: 256 characters, the column holds 255"),
        ({"key_file": "k" * 1025}, "c1", "value_too_long", "key_file: 1025 characters, the column holds 1024"),
    ],
)
def test_a_row_is_refused_for(change, source_id, reason, detail):
    verdict = validate(credentials({"id": "before"}, {"id": "c1"} | change))
    assert refused(verdict.quarantine) == [(source_id, reason, detail)]
    assert verdict.quarantine.drop_columns(["source_id", "reason", "detail"]).to_pylist() == [
        {"source_table": "credentials", "source_rowid": 12, "row_index": 1}
    ]
    assert verdict.frame.rows["id"].to_pylist() == ["before"]


def test_an_empty_name_or_username_is_a_name():
    verdict = validate(credentials({"name": "", "username": ""}))
    assert [verdict.frame.rows[name][0].as_py() for name in ("name", "username")] == ["", ""]


def test_texts_as_long_as_their_columns_are_written_to_the_last_character():
    row = {
        "id": "ü" * 36,
        "name": "é" * 254 + " ",
        "username": "😀" * 255,
        "key_file": "k" * 1024,
        "description": "d" * 9999,
    }
    verdict = validate(credentials(row))
    assert {name: verdict.frame.rows[name][0].as_py() for name in row} == row


def test_lengths_are_those_of_the_target_and_null_is_unlimited():
    narrow = validate(credentials({"name": "Router"}), limits=LIMITS | {("credentials", "name"): 5})
    assert refused(narrow.quarantine) == [("c1", "value_too_long", "name: 6 characters, the column holds 5")]
    wide = validate(credentials({"name": "n" * 9999}), limits=LIMITS | {("credentials", "name"): None})
    assert wide.quarantine.num_rows == 0


def test_a_column_whose_length_nobody_knows_is_not_taken_for_unlimited():
    with pytest.raises(KeyError):
        validate(credentials({}), limits={})


def test_numbers_and_blobs_of_text_are_taken_as_text():
    verdict = validate(credentials({"id": 7, "name": b"caf\xc3\xa9", "username": 2.5, "description": 10**12}))
    row = verdict.frame.rows.to_pylist()[0]
    assert [row[name] for name in ("id", "name", "username", "description")] == ["7", "café", "2.5", "1000000000000"]


def test_all_rows_of_one_id_are_refused_whatever_kind_the_id_was():
    verdict = validate(credentials({"id": "5"}, {"id": "6"}, {"id": 5}, {"id": b"5", "name": None}))
    assert refused(verdict.quarantine) == [
        ("5", "duplicate_id", "id: 3 rows have it"),
        ("5", "duplicate_id", "id: 3 rows have it"),
        ("5", "missing_value", "name: NULL"),
    ]
    assert verdict.frame.rows["id"].to_pylist() == ["6"]


def test_a_doubled_id_goes_before_what_else_is_wrong_with_the_row():
    verdict = validate(
        credentials({"id": "a\0"}, {"id": "a\0"}, {"id": "x", "name": "\0"}, {"id": "x", "name": "n" * 300})
    )
    assert [reason for _, reason, _ in refused(verdict.quarantine)] == ["duplicate_id"] * 4


def test_ids_that_are_missing_or_unreadable_are_not_duplicates_of_each_other():
    verdict = validate(
        credentials({"id": None}, {"id": None}, {"id": ""}, {"id": ""}, {"id": b"\xff"}, {"id": b"\xfe"})
    )
    reasons = [reason for _, reason, _ in refused(verdict.quarantine)]
    assert reasons == ["missing_value"] * 4 + ["invalid_text"] * 2


def test_ids_differ_by_case_and_blanks():
    assert validate(credentials({"id": "a"}, {"id": "A"}, {"id": "a "})).quarantine.num_rows == 0


@pytest.mark.parametrize(
    ("judgement", "reason", "detail"),
    [
        ({"verdict": "undecryptable", "sealed": None}, "undecryptable_secret", "password: no key opens it"),
        ({"verdict": "plaintext_refused", "sealed": None}, "plaintext_refused", "password: stands in the clear"),
        ({"verdict": "invalid_text", "sealed": None}, "invalid_text", "password: bytes that are not UTF-8"),
        ({"sealed": "s" * 1025}, "secret_too_long", "password: 1025 characters sealed, the column holds 1024"),
    ],
)
def test_a_password_is_refused_for(judgement, reason, detail):
    verdict = validate(credentials({}, {}), judgement)
    assert refused(verdict.quarantine) == [("c1", reason, detail)]
    assert verdict.frame.rows["id"].to_pylist() == ["c2"]


def test_passwords_of_every_kind_that_the_judging_lets_through_are_written():
    given = [{"verdict": "null", "sealed": None}, {"verdict": "empty", "sealed": ""}, {"sealed": "s" * 1024}]
    verdict = validate(credentials({}, {}, {}), *given)
    assert verdict.frame.rows["password"].to_pylist() == [None, "", "s" * 1024]


def test_a_widened_password_column_takes_any_length():
    verdict = validate(credentials({}), {"sealed": "s" * 99_999}, limits=LIMITS | {("credentials", "password"): None})
    assert verdict.quarantine.num_rows == 0


def test_one_reason_a_row_identity_before_secret():
    verdict = validate(
        credentials(
            {"name": None, "username": None, "key_file": "\0", "description": "\0"},
            {"name": "n" * 300, "username": "\0", "description": "\0"},
            {"name": "n" * 300, "username": "u" * 300},
            {"description": "\0"},
        ),
        *[{"verdict": "undecryptable", "sealed": None}] * 3,
        {"verdict": "invalid_text", "sealed": None},
    )
    assert refused(verdict.quarantine) == [
        ("c1", "missing_value", "name: NULL; username: NULL"),
        ("c2", "invalid_text", "username: a NUL character; description: a NUL character"),
        (
            "c3",
            "value_too_long",
            "name: 300 characters, the column holds 255; username: 300 characters, the column holds 255",
        ),
        ("c4", "invalid_text", "description: a NUL character; password: bytes that are not UTF-8"),
    ]


def test_the_stored_password_appears_nowhere():
    verdict = validate(extracted(CREDENTIAL | {"password": "canary-b1c9"}, CREDENTIAL | {"password": "canary-b1c9"}))
    everything = [*verdict.frame.tables.values(), verdict.quarantine]
    assert verdict.quarantine.num_rows == 2
    assert not any("canary" in str(table.to_pylist()) for table in everything)


def test_repairs_are_listed_with_the_new_value_and_never_with_the_old():
    verdict = validate(
        credentials(
            {"success_count": None, "failure_count": "many", "use_keys": None},
            {"success_count": 2**31, "failure_count": -(2**40), "use_keys": "true"},
            {"last_used": "never", "last_success": 1_742_515_200, "last_failure": "2025-03-20T10:00:00+02:00"},
            {"success_count": 5.0, "failure_count": "12", "use_keys": ""},
        )
    )
    assert sorted(repaired(verdict.frame)) == [
        ("c1", "failure_count", "counter_unusable_to_zero", "0"),
        ("c1", "success_count", "counter_null_to_zero", "0"),
        ("c1", "use_keys", "use_keys_null_to_false", "false"),
        ("c2", "failure_count", "counter_under_int4_to_min", "-2147483648"),
        ("c2", "success_count", "counter_over_int4_to_max", "2147483647"),
        ("c2", "use_keys", "use_keys_read_as_true", "true"),
        ("c3", "last_failure", "timestamp_to_utc", "2025-03-20 08:00:00.000000"),
        ("c3", "last_success", "timestamp_epoch_seconds", "2025-03-21 00:00:00.000000"),
        ("c3", "last_used", "timestamp_unusable_to_null", None),
        ("c4", "failure_count", "counter_from_text", "12"),
        ("c4", "success_count", "counter_from_real", "5"),
        ("c4", "use_keys", "use_keys_read_as_false", "false"),
    ]
    assert verdict.quarantine.num_rows == 0


def test_repairs_of_refused_rows_are_not_listed():
    verdict = validate(credentials({"name": None, "success_count": None}, {}))
    assert repaired(verdict.frame) == []


def test_passwords_of_other_rows_are_never_written():
    frame = credentials({}, {})
    other = judged(frame).take([1, 0])
    with pytest.raises(CredstoreError, match="not the extracted ones"):
        validate_credentials(frame, other, target(), snapshot_time=SNAPSHOT_TIME)


@pytest.mark.parametrize(
    ("judgement", "words"),
    [
        ({"verdict": "opened", "sealed": None}, "opened and yet not sealed"),
        ({"verdict": "empty", "sealed": None}, "opened and yet not sealed"),
        ({"verdict": "maybe"}, "an unknown verdict"),
        ({"verdict": None}, "an unknown verdict"),
    ],
)
def test_a_password_that_was_lost_between_the_stages_is_never_written_as_null(judgement, words):
    with pytest.raises(CredstoreError, match=f"1 rows were judged {words}"):
        validate(credentials({}), judgement)
