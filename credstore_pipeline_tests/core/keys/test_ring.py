"""The key ring: which keys there are, their public names, their order."""

import base64
import copy
import hashlib
import pickle
from dataclasses import replace

import pytest

from credstore_pipeline.core.deployment import KeyMaterial
from credstore_pipeline.core.errors import KeyRingError
from credstore_pipeline.core.keys import derivations
from credstore_pipeline.core.keys.derivations import Derivation
from credstore_pipeline.core.keys.ring import KeyRing, build_ring
from credstore_pipeline_tests.core.secrets import vectors
from credstore_pipeline_tests.core.secrets.vectors import made_token, sha256_of

CANARY = "canary-key-string-0123456789"


def names(ring: KeyRing, *wanted: Derivation) -> list[str]:
    return [key.key_id for key in ring.keys if key.derivation in wanted]


def test_the_target_key_under_sha256_comes_first():
    ring = build_ring(KeyMaterial(target_key="target", application_key="application"))
    assert ring.primary.key_id == "default"
    assert ring.primary.derivation is Derivation.SHA256
    assert ring.primary.material() == hashlib.sha256(b"target").digest()


def test_keys_stand_in_the_order_they_are_tried(tmp_path):
    (tmp_path / "key_00000001.key").write_text(base64.urlsafe_b64encode(b"\1" * 32).decode())
    (tmp_path / "backup.json").write_text(vectors.BACKUP)
    raw = base64.urlsafe_b64encode(b"\2" * 32).decode()
    ring = build_ring(
        KeyMaterial(
            target_key="target",
            application_key="application",
            source_keys=("source", raw),
            key_dir=tmp_path,
            key_backup=tmp_path / "backup.json",
            key_backup_password=vectors.BACKUP_PASSWORD,
            salts=("own salt", "netraven_salt"),
        )
    )
    assert [(key.key_id, key.derivation.value) for key in ring.keys[:10]] == [
        ("default", "sha256"),
        ("application_key", "sha256"),
        ("source_keys[0]", "sha256"),
        ("source_keys[1]", "sha256"),
        ("netraven-dev-key", "sha256"),
        ("source_keys[1]:raw", "raw"),
        ("key_00000001", "file"),
        ("key_0a1b2c3d", "backup"),
        ("env_a2a06e3b", "backup"),
        (f"env_{hashlib.sha256(b'target').hexdigest()[:8]}", "pbkdf2_env"),
    ]
    slow = [key.derivation for key in ring.keys[9:]]
    assert slow == [Derivation.PBKDF2_ENV] * 5 + [Derivation.PBKDF2_HEAD] * 20
    assert names(ring, Derivation.PBKDF2_HEAD)[:2] == ["default+netraven_salt", "application_key+netraven_salt"]
    assert names(ring, Derivation.PBKDF2_HEAD)[-1] == "netraven-dev-key+salts[0]"


def test_no_two_keys_have_one_name(tmp_path):
    (tmp_path / "key_0a1b2c3d.key").write_text(base64.urlsafe_b64encode(b"\1" * 32).decode())
    (tmp_path / "backup.json").write_text(vectors.BACKUP)
    ring = build_ring(
        KeyMaterial(
            target_key=vectors.SHORT_KEY,
            source_keys=("a", "b", vectors.RAW_KEY, "default"),
            key_dir=tmp_path,
            key_backup=tmp_path / "backup.json",
            key_backup_password=vectors.BACKUP_PASSWORD,
            salts=("x", "y"),
        )
    )
    public = [(key.key_id, key.derivation) for key in ring.keys]
    assert len(public) == len(set(public))
    assert any("key_0a1b2c3d is another key" in warning for warning in ring.warnings)


def test_a_key_given_twice_is_tried_once(tmp_path):
    (tmp_path / "key_0a1b2c3d.key").write_text(vectors.RAW_KEY)
    material = KeyMaterial(
        target_key="one", application_key="one", source_keys=("one", "two", "two", "", vectors.RAW_KEY)
    )
    ring = build_ring(replace(material, key_dir=tmp_path))
    assert names(ring, Derivation.SHA256) == ["default", "source_keys[1]", "source_keys[4]", "netraven-dev-key"]
    # The application's own name for a key says more than its place in a list.
    assert names(ring, Derivation.RAW, Derivation.FILE) == ["key_0a1b2c3d"]


def test_building_a_ring_derives_nothing_slowly():
    derivations._pbkdf2.cache_clear()
    ring = build_ring(KeyMaterial(target_key="target", source_keys=("a", "b", "c"), salts=("salt",)))
    ring.open(made_token(sha256_of("c"), b"secret"))
    assert derivations._pbkdf2.cache_info().misses == 0


def test_only_the_named_slow_key_is_derived():
    derivations._pbkdf2.cache_clear()
    strings = tuple(f"source key number {number:04}" for number in range(5))
    ring = build_ring(KeyMaterial(target_key="target", source_keys=strings))
    token = made_token(derivations.pbkdf2_env_key(strings[3]), b"secret")
    found = ring.open(token, derivations.env_key_id(strings[3]))
    assert found is not None
    assert found[1] == b"secret"
    assert derivations._pbkdf2.cache_info().misses == 1


def test_which_key_opened_does_not_hang_on_what_was_opened_before():
    strings = ("a", "b", "c")
    ring = build_ring(KeyMaterial(target_key="target", source_keys=strings))
    for string in (*strings, *reversed(strings), "a", "c", "target"):
        for named in ("default", None, "env_00000000"):
            key, plaintext = ring.open(made_token(sha256_of(string), b"secret"), named)
            assert plaintext == b"secret"
            assert key.key_id == ("default" if string == "target" else f"source_keys[{strings.index(string)}]")


def test_the_published_default_key_is_tried_last_under_its_own_name():
    ring = build_ring(KeyMaterial(target_key="target"))
    key, _ = ring.open(made_token(sha256_of("netraven-dev-key"), b"secret"))
    assert key.key_id == "netraven-dev-key"
    assert key.implied


def test_the_published_default_key_goes_by_its_own_name_wherever_it_was_given():
    ring = build_ring(KeyMaterial(target_key="target", application_key="netraven-dev-key"))
    assert names(ring, Derivation.SHA256) == ["default", "netraven-dev-key"]
    assert ring.warnings == ()


def test_a_published_target_key_is_warned_of():
    ring = build_ring(KeyMaterial(target_key="netraven-dev-key"))
    assert ring.primary.key_id == "default"
    assert "anyone can open the target" in ring.warnings[0]


def test_keys_that_metadata_lists_without_a_file_are_warned_of(tmp_path):
    own = derivations.env_key_id("target")
    entries = ", ".join(f'"{key_id}": {{}}' for key_id in ("key_00000001", own, "env_99999999"))
    (tmp_path / "key_metadata.json").write_text(f'{{"keys": {{{entries}}}, "active_key_id": "key_00000001"}}')
    warnings = build_ring(KeyMaterial(target_key="target", key_dir=tmp_path)).warnings
    assert len(warnings) == 3
    assert "env_99999999 is listed and has no file" in warnings[0]
    assert "key_00000001 is listed and has no file" in warnings[1]
    assert "the active key key_00000001 has no file; the application now stores plaintext" in warnings[2]


@pytest.mark.parametrize("target_key", ["", None])
def test_without_a_target_key_there_is_no_ring(target_key):
    with pytest.raises(KeyRingError, match="plaintext is never written"):
        build_ring(KeyMaterial(target_key=target_key, application_key=CANARY))


@pytest.mark.parametrize(
    ("material", "setting"),
    [
        (KeyMaterial(target_key=CANARY + "\udc80"), "CREDSTORE_TARGET_KEY"),
        (KeyMaterial(target_key="t", application_key=CANARY + "\udc80"), "NETRAVEN_ENCRYPTION_KEY"),
        (KeyMaterial(target_key="t", source_keys=("ok", CANARY + "\udc80")), r"CREDSTORE_SOURCE_KEYS\[1\]"),
        (KeyMaterial(target_key="t", salts=(CANARY + "\udc80",)), "salts"),
    ],
)
def test_a_key_that_is_no_text_is_an_error_that_names_the_setting(material, setting):
    with pytest.raises(KeyRingError, match=setting) as caught:
        build_ring(material)
    assert CANARY not in str(caught.value)
    assert caught.value.__suppress_context__


def test_nothing_that_is_shown_of_a_ring_holds_a_key(tmp_path):
    (tmp_path / "key_0a1b2c3d.key").write_text(vectors.RAW_KEY)
    strings = (CANARY, CANARY + "2", vectors.RAW_KEY + "x")
    ring = build_ring(KeyMaterial(target_key=CANARY + "3", source_keys=strings, key_dir=tmp_path, salts=(CANARY,)))
    assert ring.open(made_token(sha256_of(CANARY + "2"), b"secret"))
    shown = "".join([repr(ring), str(ring), ring.tried(), *ring.warnings, *map(repr, ring.keys), *map(str, ring.keys)])
    for secret in (CANARY, vectors.RAW_KEY, hashlib.sha256(CANARY.encode()).hexdigest()[:16]):
        assert secret not in shown
    assert "env_" not in ring.tried()


@pytest.mark.parametrize("take", [pickle.dumps, copy.deepcopy])
def test_neither_ring_nor_key_can_be_pickled(take):
    ring = build_ring(KeyMaterial(target_key=CANARY))
    for secret in (ring, ring.primary, {"ring": ring}):
        with pytest.raises(TypeError, match="not pickled"):
            take(secret)


def test_a_ring_goes_over_the_wire_whole_with_what_is_derived():
    ring = build_ring(KeyMaterial(target_key="target", source_keys=("a source key of length",), salts=("own",)))
    token = made_token(derivations.pbkdf2_head_key("a source key of length", "own"), b"secret")
    assert ring.open(token)
    wire = pickle.loads(pickle.dumps(ring.wire()))
    derivations._pbkdf2.cache_clear()
    other = KeyRing.from_wire(wire)
    assert [(key.key_id, key.derivation) for key in other.keys] == [(key.key_id, key.derivation) for key in ring.keys]
    key, plaintext = other.open(token)
    assert (key.key_id, plaintext) == ("source_keys[0]+salts[0]", b"secret")
    assert derivations._pbkdf2.cache_info().misses == 0


def test_former_target_keys_are_the_configured_strings():
    ring = build_ring(KeyMaterial(target_key="t", application_key="a", source_keys=("s", vectors.RAW_KEY)))
    assert [key.key_id for key in ring.sealers] == ["default", "application_key", "source_keys[0]", "source_keys[1]"]
