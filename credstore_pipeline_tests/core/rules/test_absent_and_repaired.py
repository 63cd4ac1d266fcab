from credstore_pipeline.core.rules.layout import WRITTEN
from credstore_pipeline.core.rules.timestamps import in_micros
from credstore_pipeline_tests.core.rules.extracts import LATER, SNAPSHOT_TIME, credentials, extracted, refused, repaired
from credstore_pipeline_tests.core.rules.test_credentials import stamps, validate
from credstore_pipeline_tests.core.rules.test_isoformat import at

NOW = in_micros(SNAPSHOT_TIME)


def test_missing_and_unusable_stamps_are_taken_from_each_other_and_else_from_the_snapshot():
    verdict = validate(
        credentials(
            {"created_at": None},
            {"updated_at": "soon"},
            {"created_at": "yesterday", "updated_at": None},
            {"created_at": None, "updated_at": "2025-03-20 10:00:00Z"},
        )
    )
    created, updated = at(2025, 3, 24, 9, 0, 0, 250_000), at(2025, 3, 25, 10)
    assert stamps(verdict) == [updated, created, NOW, at(2025, 3, 20, 10)]
    assert stamps(verdict, "updated_at") == [updated, created, NOW, at(2025, 3, 20, 10)]
    assert sorted(repaired(verdict.frame)) == [
        ("c1", "created_at", "timestamp_from_other", "2025-03-25 10:00:00.000000"),
        ("c2", "updated_at", "timestamp_from_other", "2025-03-24 09:00:00.250000"),
        ("c3", "created_at", "timestamp_from_snapshot", "2025-06-01 12:00:00.000000"),
        ("c3", "updated_at", "timestamp_from_snapshot", "2025-06-01 12:00:00.000000"),
        ("c4", "created_at", "timestamp_from_other", "2025-03-20 10:00:00.000000"),
        ("c4", "updated_at", "timestamp_to_utc", "2025-03-20 10:00:00.000000"),
    ]


def remembered(verdict):
    rows = verdict.frame.tables["repairs"].to_pylist()
    return {(row["source_table"], row["source_id"], row["column_name"]): row["value"] for row in rows}


def test_a_later_run_repairs_to_the_first_runs_time_and_lists_the_same():
    frame = credentials({"created_at": None, "updated_at": None}, {"created_at": "?"}, {})
    first = validate(frame)
    later = validate(frame, at=LATER, repaired=remembered(first))
    assert later.frame.rows.equals(first.frame.rows)
    assert repaired(later.frame) == repaired(first.frame)


def test_a_row_that_is_new_in_a_later_run_gets_that_runs_time():
    first = validate(credentials({"created_at": None, "updated_at": None}))
    grown = credentials(*[{"created_at": None, "updated_at": None}] * 2)
    assert stamps(validate(grown, at=LATER, repaired=remembered(first))) == [NOW, in_micros(LATER)]


def test_created_at_stays_when_the_row_it_was_taken_from_is_updated():
    first = validate(credentials({"created_at": None}))
    later = validate(credentials({"created_at": None, "updated_at": "2025-05-01"}), repaired=remembered(first))
    assert stamps(later) == stamps(first) == [at(2025, 3, 25, 10)]
    assert stamps(later, "updated_at") == [at(2025, 5, 1)]


def test_a_time_that_was_mended_in_the_source_is_the_sources_again():
    first = validate(credentials({"created_at": None, "updated_at": None}))
    later = validate(credentials({"created_at": "2025-01-01"}), repaired=remembered(first))
    assert stamps(later) == [at(2025, 1, 1)]


ABSENT = ("use_keys", "key_file", "last_used", "last_success", "last_failure")


def test_the_setup_scripts_columns_are_completed_with_one_repair_a_column():
    verdict = validate(credentials({}, {}, without=ABSENT))
    assert verdict.frame.rows["use_keys"].to_pylist() == [False, False]
    assert (
        verdict.frame.rows.select(["key_file", "last_used", "last_success", "last_failure"]).to_pylist()
        == [{"key_file": None, "last_used": None, "last_success": None, "last_failure": None}] * 2
    )
    assert sorted(repaired(verdict.frame)) == [
        ("*", "key_file", "column_absent_to_null", None),
        ("*", "last_failure", "column_absent_to_null", None),
        ("*", "last_success", "column_absent_to_null", None),
        ("*", "last_used", "column_absent_to_null", None),
        ("*", "use_keys", "column_absent_to_false", "false"),
    ]


def test_every_other_column_may_be_absent_too():
    gone = ("description", "success_count", "failure_count", "created_at", "updated_at")
    verdict = validate(credentials({}, {}, without=gone))
    assert stamps(verdict) == stamps(verdict, "updated_at") == [NOW, NOW]
    assert verdict.frame.rows["success_count"].to_pylist() == [0, 0]
    assert sorted(repaired(verdict.frame)) == [
        ("*", "created_at", "timestamp_from_snapshot", "2025-06-01 12:00:00.000000"),
        ("*", "description", "column_absent_to_null", None),
        ("*", "failure_count", "column_absent_to_zero", "0"),
        ("*", "success_count", "column_absent_to_zero", "0"),
        ("*", "updated_at", "timestamp_from_snapshot", "2025-06-01 12:00:00.000000"),
    ]
    later = validate(credentials({}, {}, {}, without=gone), at=LATER, repaired=remembered(verdict))
    assert stamps(later) == [NOW] * 3
    assert repaired(later.frame) == repaired(verdict.frame)


def test_one_absent_stamp_is_the_other_one_also_where_that_was_repaired():
    frame = credentials({}, {"updated_at": None}, without=("created_at",))
    first = validate(frame)
    assert stamps(first) == stamps(first, "updated_at") == [at(2025, 3, 25, 10), NOW]
    assert sorted(repaired(first.frame)) == [
        ("*", "created_at", "timestamp_from_other", None),
        ("c2", "updated_at", "timestamp_from_snapshot", "2025-06-01 12:00:00.000000"),
    ]
    assert validate(frame, at=LATER, repaired=remembered(first)).frame.rows.equals(first.frame.rows)


def test_a_table_that_does_not_exist_gives_no_rows_and_no_repairs():
    verdict = validate(extracted())
    assert verdict.frame.rows.schema == WRITTEN["credentials"]
    assert (verdict.frame.rows.num_rows, verdict.quarantine.num_rows, repaired(verdict.frame)) == (0, 0, [])


def test_without_a_column_of_names_every_row_misses_one():
    verdict = validate(credentials({}, without=("name",)))
    assert refused(verdict.quarantine) == [("c1", "missing_value", "name: NULL")]
    assert repaired(verdict.frame) == []
