"""Opening stored passwords: every encoding, every layer, and never ciphertext as a password."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credstore_pipeline.core.deployment import KeyMaterial
from credstore_pipeline.core.errors import SecretUnopenable
from credstore_pipeline.core.keys.derivations import pbkdf2_env_key, pbkdf2_head_key, raw_key
from credstore_pipeline.core.keys.ring import build_ring
from credstore_pipeline.core.secrets.opening import open_as_sealed, open_secret, peel, peel_primary
from credstore_pipeline.core.secrets.peeling import peel_many, peel_primary_many
from credstore_pipeline.core.secrets.sealing import seal
from credstore_pipeline.core.secrets.shapes import Encoding
from credstore_pipeline_tests.core.secrets import vectors
from credstore_pipeline_tests.core.secrets.vectors import (
    FILE_KEY_ID,
    KEY,
    PASSWORD,
    made_envelope,
    made_token,
    sha256_of,
)

ROW = "credentials id=8f3e63"
LOST = sha256_of("a key that nobody has")


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    (folder / f"{FILE_KEY_ID}.key").write_text(vectors.RAW_KEY)
    strings = (KEY, vectors.SHORT_KEY)
    return build_ring(
        KeyMaterial(target_key="the target's own", source_keys=strings, key_dir=folder, salts=(vectors.OWN_SALT,))
    )


VECTORS = {
    "token": (vectors.TOKEN, Encoding.TOKEN, "source_keys[0]", "sha256", 1),
    "envelope default": (vectors.ENVELOPE_DEFAULT, Encoding.ENVELOPE, "source_keys[0]", "sha256", 1),
    "envelope env": (vectors.ENVELOPE_ENV, Encoding.ENVELOPE, "env_25b971e0", "pbkdf2_env", 1),
    "envelope env of a short key": (vectors.ENVELOPE_ENV_PADDED, Encoding.ENVELOPE, "env_a2a06e3b", "pbkdf2_env", 1),
    "envelope key": (vectors.ENVELOPE_KEY, Encoding.ENVELOPE, FILE_KEY_ID, "file", 1),
    "head": (vectors.HEAD_DEFAULT_SALT, Encoding.TOKEN, "source_keys[0]+netraven_salt", "pbkdf2_head", 1),
    "head prod": (
        vectors.HEAD_PROD_SALT,
        Encoding.TOKEN,
        "source_keys[0]+prod_encryption_salt_replace_in_production",
        "pbkdf2_head",
        1,
    ),
    "head dev": (
        vectors.HEAD_DEV_SALT,
        Encoding.TOKEN,
        "source_keys[0]+dev_encryption_salt_replace_in_production",
        "pbkdf2_head",
        1,
    ),
    "head, own salt": (vectors.HEAD_OWN_SALT, Encoding.TOKEN, "source_keys[0]+salts[0]", "pbkdf2_head", 1),
    "no key id": (vectors.NO_KEY_ID, Encoding.ENVELOPE, "source_keys[0]", "sha256", 1),
    "no version": (vectors.NO_VERSION, Encoding.ENVELOPE, "source_keys[0]", "sha256", 1),
    "compact": (vectors.COMPACT, Encoding.ENVELOPE, "source_keys[0]", "sha256", 1),
    "blanks": (vectors.BLANKS, Encoding.ENVELOPE, "source_keys[0]", "sha256", 1),
    "bare token in an envelope": (vectors.BARE_INSIDE, Encoding.ENVELOPE, "source_keys[0]", "sha256", 1),
    "wrapped twice": (vectors.TWICE, Encoding.ENVELOPE, FILE_KEY_ID, "file", 2),
    "published default key": (vectors.PUBLISHED, Encoding.ENVELOPE, "netraven-dev-key", "sha256", 1),
    "plaintext": (PASSWORD, Encoding.PLAINTEXT, None, None, 0),
}


@pytest.mark.parametrize("name", VECTORS)
def test_every_encoding_opens_and_names_its_key(ring, name):
    stored, encoding, key_id, derivation, layers = VECTORS[name]
    opened = open_secret(stored, ring, ROW)
    assert opened.plaintext == PASSWORD.encode()
    assert (opened.encoding, opened.layers, opened.exact) == (encoding, layers, False)
    key = opened.key
    assert (key and key.key_id, key and key.derivation.value) == (key_id, derivation)


def test_a_raw_fernet_key_opens_under_its_position():
    ring = build_ring(KeyMaterial(target_key="t", source_keys=("s", vectors.RAW_KEY)))
    opened = open_secret(vectors.ENVELOPE_KEY, ring, ROW)
    assert opened.plaintext == PASSWORD.encode()
    assert (opened.key.key_id, opened.key.derivation.value) == ("source_keys[1]:raw", "raw")


def test_a_string_that_looks_like_a_raw_key_opens_as_a_string_too():
    """The newest application reads its key string from a file that Fernet.generate_key wrote."""
    ring = build_ring(KeyMaterial(target_key="t", source_keys=(vectors.RAW_KEY,)))
    stored = made_envelope(made_token(sha256_of(vectors.RAW_KEY), b"secret"))
    assert open_secret(stored, ring, ROW).plaintext == b"secret"
    head = made_token(pbkdf2_head_key(vectors.RAW_KEY, "netraven_salt"), b"secret")
    assert open_secret(head, ring, ROW).plaintext == b"secret"


def test_a_wrongly_named_key_is_no_hindrance(ring):
    stored = made_envelope(made_token(sha256_of(KEY), b"secret"), "key_ffffffff")
    assert open_secret(stored, ring, ROW).plaintext == b"secret"


def test_unknown_key_is_named_but_not_shown(ring):
    stored = made_envelope(made_token(LOST, b"secret"), "key_9f9f9f9f").decode()
    with pytest.raises(SecretUnopenable) as caught:
        open_secret(stored, ring, ROW)
    message = str(caught.value)
    assert message.startswith(
        f"{ROW}: no key in the ring opens this password, which names key_9f9f9f9f (tried default, "
    )
    assert FILE_KEY_ID in message
    assert stored[60:90] not in message


def test_a_key_id_that_the_application_never_wrote_is_not_shown(ring):
    stored = made_envelope(made_token(LOST, b"secret"), "hunter2")
    with pytest.raises(SecretUnopenable) as caught:
        open_secret(stored, ring, ROW)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("outer", [sha256_of(KEY), LOST])
def test_a_lost_inner_layer_is_never_taken_for_the_password(ring, outer):
    inner = made_envelope(made_token(LOST, b"secret"), "key_9f9f9f9f")
    with pytest.raises(SecretUnopenable):
        open_secret(made_envelope(made_token(outer, inner)), ring, ROW)


def test_a_password_that_looks_like_an_envelope_stays_what_it_is(ring):
    for password in (
        b'{"key_id": "default", "encrypted_data": "Zm9v", "version": "1.0"}',
        b"gAAAAABnot-a-token",
        b'{"a": "json"}',
    ):
        stored = made_envelope(made_token(sha256_of(KEY), password))
        assert open_secret(stored, ring, ROW).plaintext == password


def test_what_is_no_text_is_no_password(ring):
    for stored in (b"\xff\xfe", made_token(sha256_of(KEY), b"\xff\xfe"), "\udc80"):
        with pytest.raises(SecretUnopenable, match="no UTF-8"):
            open_secret(stored, ring, ROW)


def test_what_is_sealed_is_the_applications_envelope(ring):
    sealed = seal(PASSWORD.encode(), ring)
    content = json.loads(sealed)
    assert list(content) == ["key_id", "encrypted_data", "version"]
    assert (content["key_id"], content["version"]) == ("default", "1.0")
    assert json.dumps(content) == sealed
    token = base64.b64decode(content["encrypted_data"], validate=True)
    opened = open_secret(sealed, ring, ROW)
    assert opened.plaintext == PASSWORD.encode()
    assert opened.exact
    assert opened.key is ring.primary
    assert token.startswith(b"gAAAAA")


@pytest.mark.parametrize(("size", "length"), [(1, 197), (15, 197), (100, 365), (479, 1017), (1000, 1957)])
def test_an_envelope_is_as_long_as_the_application_makes_it(ring, size, length):
    assert len(seal(b"x" * size, ring)) == length


def test_two_seals_of_one_password_differ(ring):
    assert seal(b"same", ring) != seal(b"same", ring)


KEYS = {
    "sha256": sha256_of(KEY),
    "env": pbkdf2_env_key(KEY),
    "short env": pbkdf2_env_key(vectors.SHORT_KEY),
    "head": pbkdf2_head_key(KEY, "netraven_salt"),
    "file": raw_key(vectors.RAW_KEY),
    "lost": LOST,
}
FORMS = {
    "token": lambda token: token,
    "envelope": made_envelope,
    "named": lambda token: made_envelope(token, FILE_KEY_ID),
    "compact": lambda token: made_envelope(token).replace(b" ", b""),
    "blanks": lambda token: b"\n " + made_envelope(token) + b" ",
    "bare inside": lambda token: b'{"encrypted_data": "%b"}' % token,
}
FOREIGN = made_token(LOST, b"another's")
LOOKALIKES = [
    *(FORMS[form](FOREIGN).decode() for form in FORMS),
    FOREIGN.decode()[:-4],
    FOREIGN.decode() + "\n",
    made_envelope(FOREIGN[:-4]).decode(),
    '{"key_id": "default", "encrypted_data": "Zm9v", "version": "1.0"}',
    '{"encrypted_data": null}',
    "gAAAAABnot-a-token",
    "{}",
]


def carries_a_token(text: str) -> bool:
    """The rule for ciphertext, in other words than the project's."""

    def decodes(value: str) -> bool:
        try:
            raw = base64.urlsafe_b64decode(value)
            canonical = base64.urlsafe_b64encode(raw).decode() == value
        except ValueError:
            return False
        return canonical and raw[:1] == b"\x80" and len(raw) >= 73 and (len(raw) - 57) % 16 == 0

    if decodes(text):
        return True
    try:
        payload = json.loads(text)["encrypted_data"]
        if decodes(payload):
            return True
        inner = base64.b64decode(payload, validate=True).decode()
        return decodes(inner) and base64.b64encode(inner.encode()).decode() == payload
    except (ValueError, KeyError, TypeError, RecursionError, IndexError):
        return False


passwords = st.one_of(
    st.text(max_size=40),
    st.text(max_size=1250),
    st.sampled_from(["", "\0", "\0" * 5000, "x" * 5000, " ", "admin_password"]),
    st.sampled_from(LOOKALIKES),
    st.recursive(st.text(max_size=8), lambda inner: st.dictionaries(st.text(max_size=4), inner, max_size=3)).map(
        json.dumps
    ),
)


@settings(deadline=None, max_examples=150)
@given(password=passwords, layers=st.lists(st.tuples(st.sampled_from([*KEYS]), st.sampled_from([*FORMS])), max_size=3))
def test_any_password_through_any_layers_comes_out_equal_or_is_refused_by_the_rules(ring, password, layers):
    stored = password.encode()
    for key, form in layers:
        stored = FORMS[form](made_token(KEYS[key], stored))
    if carries_a_token(password) or any(key == "lost" for key, _ in layers):
        with pytest.raises(SecretUnopenable):
            open_secret(stored, ring, ROW)
    else:
        opened = open_secret(stored, ring, ROW)
        assert opened.plaintext == password.encode()
        assert opened.layers == len(layers)
        sealed = seal(opened.plaintext, ring)
        again = open_secret(sealed, ring, ROW)
        assert (again.plaintext, again.exact) == (password.encode(), True)
        assert open_as_sealed(sealed, ring) == password.encode()
    lot = [stored, None, seal(stored, ring).encode(), b"", FOREIGN, stored]
    assert peel_many(lot, ring) == [peel(text, ring) for text in lot]
    assert peel_primary_many(lot, ring) == [peel_primary(text, ring) for text in lot]
    quickly = open_as_sealed(stored.decode(), ring)
    assert quickly is None or quickly == peel(stored, ring).plaintext


def test_the_quick_way_opens_nothing_that_is_not_exactly_the_targets_form(ring):
    sealed = seal(b"a password", ring)
    payload = json.loads(sealed)["encrypted_data"]
    token = base64.b64decode(payload).decode()
    others = {
        "junk in the payload": sealed.replace(payload, f"{payload[:9]}*{payload[9:]}"),
        "junk in the token": sealed.replace(payload, base64.b64encode(f"{token[:9]}*{token[9:]}".encode()).decode()),
        "the bare token in it": sealed.replace(payload, token),
        "another key's": seal(b"a password", build_ring(KeyMaterial(target_key="another"))),
        "another id": sealed.replace('"default"', '"key_0a1b2c3d"'),
        "blanks around": f" {sealed}",
        "one more layer": seal(sealed.encode(), ring),
        "no payload": sealed.replace(payload, ""),
        "no ASCII": sealed.replace(payload, "é"),
    }
    assert {name: open_as_sealed(text, ring) for name, text in others.items()} == dict.fromkeys(others)
