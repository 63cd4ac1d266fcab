import io
import os

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credstore_pipeline.core.errors import StagingError
from credstore_pipeline.core.frames import Frame
from credstore_pipeline.core.staging import CHUNK_BYTES, open_frame, seal_frame

KEY = bytes(range(32))
CANARY = "canary-2f7d41-password-as-stored"


def frame():
    mixed = pa.array([{"kind": 4, "data": b"\xff\x00"}, None], pa.struct([("kind", pa.int8()), ("data", pa.binary())]))
    rows = pa.table({"source_rowid": [1, 2], "password": [CANARY, None], "mixed": mixed, "none": pa.nulls(2)})
    return Frame({"rows": rows, "repairs": pa.table({"rule": pa.array([], pa.string())})}, {"flavour": "orm"})


def sealed(frame, run_id="run-1", asset="extracted/credentials"):
    out = io.BytesIO()
    size = seal_frame(frame, out, KEY, run_id, asset)
    assert size == len(out.getvalue())
    return out.getvalue()


def test_a_frame_comes_back_as_it_was():
    back = open_frame(io.BytesIO(sealed(frame())), KEY, "run-1", "extracted/credentials")
    assert back.notes == {"flavour": "orm"}
    assert {name: table.to_pylist() for name, table in back.tables.items()} == {
        name: table.to_pylist() for name, table in frame().tables.items()
    }


def test_nothing_of_a_frame_stands_in_the_file():
    assert CANARY.encode() not in sealed(frame())


@pytest.mark.parametrize(("run_id", "asset"), [("run-2", "extracted/credentials"), ("run-1", "extracted/tags")])
def test_a_file_of_another_run_or_asset_is_refused(run_id, asset):
    with pytest.raises(StagingError, match="altered or belongs to another run"):
        open_frame(io.BytesIO(sealed(frame())), KEY, run_id, asset)


def test_another_key_opens_nothing():
    with pytest.raises(StagingError):
        open_frame(io.BytesIO(sealed(frame())), bytes(32), "run-1", "extracted/credentials")


@pytest.mark.parametrize("length", [0, 4, 8, 9, 11, 12, 20])
def test_a_file_cut_within_its_header_is_refused(length):
    with pytest.raises(StagingError):
        open_frame(io.BytesIO(sealed(frame())[:length]), KEY, "run-1", "extracted/credentials")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_altered_byte_any_cut_and_any_addition_is_noticed(data):
    whole = sealed(frame())
    at = data.draw(st.integers(0, len(whole) - 1))
    how = data.draw(st.sampled_from(["flip", "cut", "add"]))
    bad = {
        "flip": whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :],
        "cut": whole[:at],
        "add": whole + b"\0" * data.draw(st.integers(1, 100)),
    }[how]
    with pytest.raises(StagingError):
        open_frame(io.BytesIO(bad), KEY, "run-1", "extracted/credentials")


def test_chunks_cannot_be_reordered_or_left_out():
    big = Frame({"rows": pa.table({"data": pa.array([os.urandom(CHUNK_BYTES) for _ in range(3)], pa.binary())})})
    whole = sealed(big)
    # The header is small; chunks follow it back to back.
    chunk = CHUNK_BYTES + 16
    first = len(whole) % chunk
    assert open_frame(io.BytesIO(whole), KEY, "run-1", "extracted/credentials").rows.num_rows == 3
    for bad in (whole[:-chunk], whole[: first + chunk] + whole[first + 2 * chunk :]):
        with pytest.raises(StagingError):
            open_frame(io.BytesIO(bad), KEY, "run-1", "extracted/credentials")


def test_two_files_of_one_frame_share_no_nonce():
    assert sealed(frame()) != sealed(frame())
