"""Verdicts on stored passwords, and fingerprints of what stands in the target."""

import json

import pytest

from credstore_pipeline.core.deployment import KeyMaterial
from credstore_pipeline.core.fingerprints import secret_fingerprint
from credstore_pipeline.core.keys.derivations import Derivation
from credstore_pipeline.core.keys.ring import build_ring
from credstore_pipeline.core.secrets.judge import Judge, Verdict
from credstore_pipeline.core.secrets.opening import open_secret
from credstore_pipeline.core.secrets.sealing import seal
from credstore_pipeline.core.secrets.shapes import Encoding
from credstore_pipeline_tests.core.secrets.vectors import made_envelope, made_token, sha256_of

RING = build_ring(KeyMaterial(target_key="target key", application_key="application key"))
OTHER_RING = build_ring(KeyMaterial(target_key="quite another key"))
TARGET, SOURCE, LOST = sha256_of("target key"), sha256_of("application key"), sha256_of("lost")
MAC_KEY = bytes(range(32))


def judged(stored, plaintext="encrypt", row_id="id-1"):
    """One row's verdict as a dict of columns."""
    result = Judge(RING, MAC_KEY, plaintext).judge([row_id], [stored])
    return {name: column[0] for name, column in result._asdict().items()}


def seen(stored, *, only_primary=True):
    result = Judge(RING, MAC_KEY).read_back(["id-1"], [stored], only_primary=only_primary)
    return {name: column[0] for name, column in result._asdict().items()}


def test_null_stays_null():
    row = judged(None)
    assert (row["verdict"], row["encoding"], row["sealed"], row["layers"]) == (Verdict.NULL, Encoding.NULL, None, 0)
    assert row["fingerprint"] == secret_fingerprint(MAC_KEY, "id-1", None)


def test_empty_stays_empty():
    row = judged(b"")
    assert (row["verdict"], row["encoding"], row["sealed"], row["layers"]) == (Verdict.EMPTY, Encoding.EMPTY, "", 0)
    assert row["fingerprint"] == secret_fingerprint(MAC_KEY, "id-1", b"")


@pytest.mark.parametrize(
    ("stored", "encoding", "key_id", "layers"),
    [
        (b"secret", Encoding.PLAINTEXT, None, 0),
        (made_token(SOURCE, b"secret"), Encoding.TOKEN, "application_key", 1),
        (made_token(TARGET, b"secret"), Encoding.TOKEN, "default", 1),
        (made_envelope(made_token(SOURCE, b"secret")), Encoding.ENVELOPE, "application_key", 1),
        (made_envelope(made_token(TARGET, made_token(SOURCE, b"secret"))), Encoding.ENVELOPE, "default", 2),
        (made_token(SOURCE, made_envelope(made_token(TARGET, b"secret"))), Encoding.TOKEN, "application_key", 2),
        (made_envelope(made_token(TARGET, b"secret")) + b" ", Encoding.ENVELOPE, "default", 1),
        (made_envelope(made_token(TARGET, b"secret"), "key_00000001"), Encoding.ENVELOPE, "default", 1),
    ],
)
def test_what_opens_is_sealed_anew_for_the_target(stored, encoding, key_id, layers):
    row = judged(stored)
    assert (row["verdict"], row["encoding"], row["key_id"]) == (Verdict.OPENED, encoding, key_id)
    assert row["layers"] == layers
    assert row["derivation"] == (Derivation.SHA256 if layers else None)
    assert not row["kept"]
    assert row["sealed"].encode() != stored
    again = open_secret(row["sealed"], RING, "row")
    assert (again.plaintext, again.exact) == (b"secret", True)
    assert row["fingerprint"] == secret_fingerprint(MAC_KEY, "id-1", b"secret")


def test_the_targets_form_is_kept_byte_for_byte():
    stored = made_envelope(made_token(TARGET, b"secret"))
    row = judged(stored)
    assert row["kept"]
    assert row["sealed"].encode() == stored
    assert row["fingerprint"] == secret_fingerprint(MAC_KEY, "id-1", b"secret")


def test_the_targets_form_under_another_key_is_not_kept():
    assert not judged(made_envelope(made_token(SOURCE, b"secret")))["kept"]


def test_a_sealed_empty_password_stays_sealed():
    row = judged(made_token(SOURCE, b""))
    assert (row["verdict"], row["layers"]) == (Verdict.OPENED, 1)
    assert open_secret(row["sealed"], RING, "row").plaintext == b""
    assert row["fingerprint"] == secret_fingerprint(MAC_KEY, "id-1", b"")


@pytest.mark.parametrize(
    ("stored", "key_id", "layers", "missing"),
    [
        (made_token(LOST, b"secret"), None, 0, None),
        (made_envelope(made_token(LOST, b"secret"), "key_0000abcd"), None, 0, "key_0000abcd"),
        (made_envelope(made_token(LOST, b"secret")), None, 0, "default"),
        (made_envelope(made_token(LOST, b"secret"), "canary"), None, 0, None),
        (
            made_token(SOURCE, made_envelope(made_token(LOST, b"x"), "env_0000abcd")),
            "application_key",
            1,
            "env_0000abcd",
        ),
        (made_token(TARGET, made_token(SOURCE, made_token(LOST, b"secret"))), "default", 2, None),
    ],
)
def test_ciphertext_that_no_key_opens_is_undecryptable_inner_or_outer(stored, key_id, layers, missing):
    row = judged(stored)
    assert row["verdict"] == Verdict.UNDECRYPTABLE
    assert (row["key_id"], row["layers"], row["missing_key_id"]) == (key_id, layers, missing)
    assert (row["sealed"], row["fingerprint"], row["kept"]) == (None, None, False)


@pytest.mark.parametrize(
    ("stored", "encoding"),
    [
        (b"latin-1: \xe9", Encoding.PLAINTEXT),
        (b"\xed\xa0\x80", Encoding.PLAINTEXT),
        (made_token(SOURCE, b"\xff"), Encoding.TOKEN),
        (made_envelope(made_token(TARGET, b"\xff")), Encoding.ENVELOPE),
    ],
)
def test_bytes_that_are_no_utf8_are_invalid_text_stored_or_opened(stored, encoding):
    for policy in ("encrypt", "refuse"):
        row = judged(stored, policy)
        assert (row["verdict"], row["encoding"]) == (Verdict.INVALID_TEXT, encoding)
        assert (row["sealed"], row["fingerprint"], row["kept"]) == (None, None, False)


def test_plaintext_can_be_refused_and_ciphertext_is_not():
    row = judged(b"secret", "refuse")
    assert (row["verdict"], row["sealed"], row["fingerprint"]) == (Verdict.PLAINTEXT_REFUSED, None, None)
    assert judged(made_token(SOURCE, b"secret"), "refuse")["verdict"] == Verdict.OPENED
    assert judged(None, "refuse")["verdict"] == Verdict.NULL
    assert judged(b"", "refuse")["verdict"] == Verdict.EMPTY


@pytest.mark.parametrize("policy", ["encrypt", "refuse"])
@pytest.mark.parametrize("name", ["admin", "backup", "monitor", "readonly"])
def test_the_applications_published_passwords_are_counted(policy, name):
    password = f"{name}_password".encode()
    assert judged(password, policy)["published_default"]
    assert judged(made_token(SOURCE, password), policy)["published_default"]
    assert not judged(password + b"1", policy)["published_default"]


def test_a_row_without_an_id_has_no_fingerprint():
    row = judged(b"secret", row_id=None)
    assert (row["verdict"], row["fingerprint"]) == (Verdict.OPENED, None)


def test_columns_keep_the_rows_order():
    stored = [b"a", None, made_token(LOST, b"b"), b"", made_token(SOURCE, b"c"), b"\xff"]
    result = Judge(RING, MAC_KEY).judge([str(number) for number in range(6)], stored)
    assert [str(verdict) for verdict in result.verdict] == [
        "opened",
        "null",
        "undecryptable",
        "empty",
        "opened",
        "invalid_text",
    ]
    assert result.fingerprint[4] == secret_fingerprint(MAC_KEY, "4", b"c")


def test_different_lengths_are_an_error():
    with pytest.raises(ValueError, match="zip"):
        Judge(RING, MAC_KEY).judge(["1"], [None, None])


@pytest.mark.parametrize("stored", [None, "", "envelope"])
def test_the_targets_form_reads_back_as_what_was_sealed(stored):
    stored = seal(b"secret", RING) if stored == "envelope" else stored
    plaintext = {None: None, "": b""}.get(stored, b"secret")
    for only_primary in (True, False):
        row = seen(stored, only_primary=only_primary)
        assert row["fingerprint"] == secret_fingerprint(MAC_KEY, "id-1", plaintext)
        assert row["key_id"] == ("default" if stored else None)


@pytest.mark.parametrize(
    ("stored", "encoding"),
    [
        ("secret", Encoding.PLAINTEXT),
        (made_token(TARGET, b"secret").decode(), Encoding.TOKEN),
        (made_envelope(made_token(SOURCE, b"secret")).decode(), Encoding.ENVELOPE),
        (made_envelope(made_token(TARGET, b"secret")).decode() + " ", Encoding.ENVELOPE),
        (made_envelope(made_token(TARGET, b"secret"), "key_00000001").decode(), Encoding.ENVELOPE),
        (json.dumps(json.loads(made_envelope(made_token(TARGET, b"secret"))), indent=1), Encoding.ENVELOPE),
        (made_envelope(made_token(TARGET, made_token(SOURCE, b"secret"))).decode(), Encoding.ENVELOPE),
        (made_envelope(made_token(TARGET, b"\xff")).decode(), Encoding.ENVELOPE),
    ],
)
def test_anything_but_the_targets_form_does_not_read_back(stored, encoding):
    row = seen(stored)
    assert (row["fingerprint"], row["encoding"]) == (None, encoding)


@pytest.mark.parametrize(
    ("stored", "key_id", "layers"),
    [
        ("secret", None, 0),
        (made_token(TARGET, b"secret").decode(), "default", 1),
        (made_envelope(made_token(SOURCE, b"secret")).decode(), "application_key", 1),
        (made_envelope(made_token(TARGET, made_token(SOURCE, b"secret"))).decode(), "default", 2),
    ],
)
def test_any_form_that_opens_reads_back_when_asked_to(stored, key_id, layers):
    row = seen(stored, only_primary=False)
    assert row["fingerprint"] == secret_fingerprint(MAC_KEY, "id-1", b"secret")
    assert (row["key_id"], row["layers"]) == (key_id, layers)


def test_what_no_key_opens_reads_back_as_nothing():
    for stored in (made_token(LOST, b"secret").decode(), made_token(TARGET, b"\xff").decode(), "\udc80"):
        assert seen(stored, only_primary=False)["fingerprint"] is None


def test_swapped_passwords_are_seen():
    """Nothing in a token binds it to its row; the fingerprint does."""
    judge = Judge(RING, MAC_KEY)
    first, second = seal(b"first", RING), seal(b"second", RING)
    right = judge.read_back(["1", "2"], [first, second], only_primary=True).fingerprint
    swapped = judge.read_back(["1", "2"], [second, first], only_primary=True).fingerprint
    assert not set(right) & set(swapped)


def test_reprs_show_numbers_alone():
    judge = Judge(RING, MAC_KEY)
    stored = [b"canary-password"]
    opened = open_secret(made_token(SOURCE, stored[0]), RING, "row")
    shown = repr(judge.judge(["1"], stored)) + repr(judge.read_back(["1"], ["canary-password"], only_primary=False))
    shown += repr(judge) + repr(opened) + str(opened) + f"{opened}"
    assert "canary" not in shown
    assert "layers=1" in repr(opened)
