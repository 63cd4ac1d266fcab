import pyarrow as pa
import pytest

from credstore_pipeline.core.deployment import Policies
from credstore_pipeline.core.reasons import WHAT_TO_DO, Reason
from credstore_pipeline.core.validation.gates import LISTED, account, allowed, listing
from credstore_pipeline.core.validation.quarantine import SCHEMA

NONE = pa.table({"source_rowid": pa.array([], pa.int64())})


def rowids(*ids):
    return pa.table({"source_rowid": pa.array(ids, pa.int64())})


def quarantine(*rows):
    """Rows of (table, row id, reason)."""
    return pa.Table.from_pylist(
        [{"source_table": t, "source_rowid": n, "source_id": f"id-{n}", "reason": str(r)} for t, n, r in rows], SCHEMA
    )


def judged(extracted, validated, refused=(), mapped=()):
    tables = {"tags": NONE, "credential_tags": NONE}
    return account(
        {**tables, "credentials": rowids(*extracted)},
        {**tables, "credentials": rowids(*validated)},
        rowids(*mapped),
        quarantine(*(("credentials", n, Reason.MISSING_VALUE) for n in refused)),
    )


def test_every_row_validated_or_quarantined_is_accounted_for():
    verdict = judged([1, 2, 3], [1, 3], [2])
    assert verdict.passed
    assert verdict.numbers["credentials_extracted"] == 3
    assert verdict.numbers["credentials_quarantined"] == 1


@pytest.mark.parametrize(
    ("validated", "refused", "said"),
    [([1, 3], [], "1 rows lost"), ([1, 2, 3], [2], "1 rows in both"), ([1, 2, 3, 9], [], "1 rows invented")],
)
def test_a_row_lost_doubled_or_invented_is_red_and_named(validated, refused, said):
    verdict = judged([1, 2, 3], validated, refused)
    assert not verdict.passed
    assert verdict.fatal
    assert said in verdict.text


def test_a_mapped_tag_is_accounted_for_and_a_placeholder_invents_nothing():
    verdict = account(
        {"tags": rowids(1, 2), "credentials": NONE, "credential_tags": NONE},
        {"tags": rowids(1, None), "credentials": NONE, "credential_tags": NONE},
        rowids(2),
        quarantine(),
    )
    assert verdict.passed


def test_no_quarantine_is_always_allowed():
    assert allowed(quarantine(), Policies()).passed


def test_one_credential_too_many_is_refused_with_its_id_reason_and_what_to_do():
    rows = quarantine(
        ("credentials", 1, Reason.UNDECRYPTABLE_SECRET), ("credential_tags", 5, Reason.PARENT_QUARANTINED)
    )
    verdict = allowed(rows, Policies())
    assert not verdict.passed
    assert "1 credentials cannot be migrated, 0 allowed (CREDSTORE_MAX_QUARANTINED)" in verdict.text
    assert "The target is unchanged" in verdict.text
    assert "credentials id=id-1 (row 1): undecryptable_secret" in verdict.text
    assert WHAT_TO_DO[Reason.UNDECRYPTABLE_SECRET] in verdict.text
    assert allowed(rows, Policies(max_quarantined=1)).passed


def test_links_count_for_their_own_sake_and_not_for_their_parents():
    own = quarantine(("credential_tags", 1, Reason.UNKNOWN_TAG), ("tags", 2, Reason.VALUE_TOO_LONG))
    following = quarantine(
        ("credential_tags", 1, Reason.PARENT_QUARANTINED), ("credential_tags", 2, Reason.ORPHAN_CREDENTIAL)
    )
    assert not allowed(own, Policies(max_quarantined_links=1)).passed
    assert allowed(own, Policies(max_quarantined_links=2)).passed
    assert allowed(following, Policies()).passed
    assert allowed(following, Policies()).numbers["quarantined_following"] == 2


def test_a_long_list_is_cut_and_the_rest_counted_causes_first():
    rows = quarantine(
        *(("credential_tags", n, Reason.PARENT_QUARANTINED) for n in range(LISTED)),
        ("credentials", 999, Reason.SECRET_TOO_LONG),
    )
    lines = listing(rows).splitlines()
    assert lines[0].startswith("  credentials id=id-999")
    assert "  and 1 more" in lines
    assert len([line for line in lines if "(row " in line]) == LISTED


def test_every_reason_says_what_to_do():
    assert set(WHAT_TO_DO) == set(Reason)
