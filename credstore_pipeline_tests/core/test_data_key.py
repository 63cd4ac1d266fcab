"""The data key and what is derived from it."""

import hashlib
import hmac
import itertools
import pickle
import traceback

import pytest

from credstore_pipeline.core.data_key import (
    Purpose,
    TargetPurpose,
    new_data_key,
    subkey,
    target_subkey,
    unwrap_data_key,
    wrap_data_key,
)
from credstore_pipeline.core.deployment import KeyMaterial
from credstore_pipeline.core.errors import TargetKeyChanged
from credstore_pipeline.core.keys.ring import build_ring

CANARY = "canary-target-key-0123456789"
DATA_KEY = bytes(range(32))
WRAPPED = bytes.fromhex(
    "01000102030405060708090a0b"
    "cb1754224dd4d158fa03938e8fcc9c9a7731febabe389556a8e5452236b9291efcde5ef603f86c855284f51c34313c7d"
)
"""DATA_KEY wrapped under the target key `frozen target key`, made once."""


def ring_of(target_key, **more):
    return build_ring(KeyMaterial(target_key=target_key, **more))


def hkdf(key: bytes, label: str) -> bytes:
    """RFC 5869 for one block, by hand."""
    extracted = hmac.digest(b"\0" * 32, key, "sha256")
    return hmac.digest(extracted, label.encode() + b"\1", "sha256")


def test_a_data_key_comes_back_from_its_wrapping():
    ring = ring_of("target")
    data_key = new_data_key()
    unwrapped = unwrap_data_key(wrap_data_key(data_key, ring), ring)
    assert unwrapped.data_key == data_key
    assert unwrapped.by_primary


def test_what_earlier_versions_wrapped_still_opens():
    assert unwrap_data_key(WRAPPED, ring_of("frozen target key")).data_key == DATA_KEY


def test_a_data_key_is_random_and_wrapped_differently_each_time():
    ring = ring_of("target")
    assert new_data_key() != new_data_key()
    assert wrap_data_key(DATA_KEY, ring) != wrap_data_key(DATA_KEY, ring)
    assert DATA_KEY not in wrap_data_key(DATA_KEY, ring)
    assert len(wrap_data_key(DATA_KEY, ring)) == 61


@pytest.mark.parametrize(
    "material",
    [
        KeyMaterial(target_key="new", source_keys=("x", "old")),
        KeyMaterial(target_key="new", application_key="old"),
    ],
)
def test_a_former_target_key_among_the_given_ones_unwraps(material):
    wrapped = wrap_data_key(DATA_KEY, ring_of("old"))
    unwrapped = unwrap_data_key(wrapped, build_ring(material))
    assert unwrapped.data_key == DATA_KEY
    assert not unwrapped.by_primary


def test_a_changed_target_key_is_refused_and_no_key_is_shown():
    wrapped = wrap_data_key(DATA_KEY, ring_of("old"))
    with pytest.raises(TargetKeyChanged) as caught:
        unwrap_data_key(wrapped, ring_of(CANARY, source_keys=(CANARY + "2",)))
    message = str(caught.value)
    assert "tried default, source_keys[0]" in message
    assert "CREDSTORE_SOURCE_KEYS" in message
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_the_published_default_key_unwraps_nothing_unless_it_was_given():
    wrapped = wrap_data_key(DATA_KEY, ring_of("netraven-dev-key"))
    with pytest.raises(TargetKeyChanged):
        unwrap_data_key(wrapped, ring_of("new"))
    assert unwrap_data_key(wrapped, ring_of("new", source_keys=("netraven-dev-key",))).data_key == DATA_KEY


def test_any_damage_to_a_wrapped_data_key_is_refused():
    ring = ring_of("target")
    wrapped = wrap_data_key(DATA_KEY, ring)
    damaged = [wrapped[:at] + bytes([wrapped[at] ^ 1]) + wrapped[at + 1 :] for at in range(len(wrapped))]
    for other in (b"", wrapped[:-1], wrapped + b"\0", *damaged):
        with pytest.raises(TargetKeyChanged):
            unwrap_data_key(other, ring)


def test_subkeys_are_hkdf_with_a_label_each():
    for purpose in Purpose:
        assert subkey(DATA_KEY, purpose) == hkdf(DATA_KEY, f"credstore_pipeline data key / {purpose.value}")
    primary = hashlib.sha256(b"target").digest()
    for purpose in TargetPurpose:
        expected = hkdf(primary, f"credstore_pipeline target key / {purpose.value}")
        assert target_subkey(ring_of("target", source_keys=("a",)), purpose) == expected


def test_no_two_purposes_share_a_key():
    ring = ring_of("target")
    keys = [subkey(ring.primary.material(), purpose) for purpose in Purpose]
    keys += [target_subkey(ring, purpose) for purpose in TargetPurpose]
    assert not any(one == other for one, other in itertools.combinations(keys, 2))
    assert all(len(key) == 32 for key in keys)


def test_labels_are_what_stored_fingerprints_were_made_with():
    """A changed label would make every row of every target look changed."""
    assert [purpose.value for purpose in Purpose][:4] == ["fingerprint", "secret fingerprint", "quarantine", "content"]


@pytest.mark.parametrize("wrong", [b"", b"x" * 31, b"x" * 33])
def test_a_key_of_another_length_is_an_error(wrong):
    with pytest.raises(ValueError, match="32 are due"):
        subkey(wrong, Purpose.CONTENT)
    with pytest.raises(ValueError, match="32 are due"):
        wrap_data_key(wrong, ring_of("target"))


def test_an_unwrapped_data_key_is_neither_shown_nor_pickled():
    ring = ring_of("target")
    unwrapped = unwrap_data_key(wrap_data_key(DATA_KEY, ring), ring)
    assert repr(unwrapped) == str(unwrapped) == "UnwrappedDataKey(by_primary=True)"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(unwrapped)
