import uuid

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from credstore_pipeline.core.rules.pair_ids import NAMESPACE, ids_from_pairs

ids = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(["a", "a/b", "b", "b/c", "1/a", "/", ""])


def made(pairs):
    return ids_from_pairs(
        pa.array([pair[0] for pair in pairs], pa.string()), pa.array([pair[1] for pair in pairs], pa.string())
    ).to_pylist()


def test_the_namespace_and_the_made_ids_never_change():
    assert str(NAMESPACE) == "175fa943-ea98-45cd-9c74-ae4e4a01fa47"
    assert made([("c1", "t1"), ("c1", "t1"), ("ü", "t")]) == [
        "168bbf21-eaaf-5255-90f2-bb095b3bb2c9",
        "14ea55e7-3b57-51f2-b0b0-d8ae6401ab53",
        "aa7f5f82-85ce-5f02-b41b-ee323d0d5302",
    ]


@given(st.lists(st.tuples(ids, ids), max_size=30))
def test_a_made_id_is_the_uuid5_of_occurrence_length_and_pair(pairs):
    seen = {}
    for pair, found in zip(pairs, made(pairs), strict=True):
        seen[pair] = seen.get(pair, 0) + 1
        assert found == str(uuid.uuid5(NAMESPACE, f"{seen[pair]}/{len(pair[0])}/{pair[0]}/{pair[1]}"))


@given(st.lists(st.tuples(ids, ids), max_size=30))
def test_no_two_rows_share_a_made_id(pairs):
    assert len(set(made(pairs))) == len(pairs)


def test_a_pair_that_is_not_whole_has_no_id():
    found = made([(None, "t1"), ("c1", None), ("c1", "t1")])
    assert found[:2] == [None, None] and found[2] == made([("c1", "t1")])[0]
