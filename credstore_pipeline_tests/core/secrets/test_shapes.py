"""What counts as ciphertext, by structure alone."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credstore_pipeline.core.secrets.shapes import Encoding, is_token, shape_of
from credstore_pipeline_tests.core.secrets import vectors
from credstore_pipeline_tests.core.secrets.vectors import made_envelope, made_token, sha256_of

TOKEN = made_token(sha256_of("some key"), b"some password")
PAYLOAD = base64.b64encode(TOKEN).decode()
URLSAFE = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def is_token_by_decoding(text: bytes) -> bool:
    """The rule, by decoding and encoding again."""
    try:
        raw = base64.urlsafe_b64decode(text)
    except ValueError:
        return False
    canonical = base64.urlsafe_b64encode(raw) == text
    return canonical and raw[:1] == b"\x80" and len(raw) >= 73 and (len(raw) - 57) % 16 == 0


@given(
    first=st.sampled_from([0x80, 0x80, 0x80, 0x81, 0x7F, 0x00, 0xC0]),
    size=st.one_of(st.sampled_from([57, 73, 89, 105, 121, 1017]), st.integers(0, 200)),
    change=st.one_of(
        st.none(),
        st.tuples(st.floats(0, 1), st.sampled_from([*URLSAFE, *b"=+/ \n\0\xff"])),
    ),
    cut=st.sampled_from([0, 0, 0, 1, 2]),
    tail=st.sampled_from([b"", b"", b"=", b"A", b"\n"]),
)
def test_a_token_is_what_decodes_to_one_and_encodes_back(first, size, change, cut, tail):
    text = bytearray(base64.urlsafe_b64encode((bytes([first]) + bytes(range(256)) * 8)[: max(size, 1)]))
    if change:
        text[int(change[0] * (len(text) - 1))] = change[1]
    text = bytes(text[: len(text) - cut]) + tail
    assert is_token(text) == is_token_by_decoding(text)


@pytest.mark.parametrize("blocks", range(1, 8))
def test_every_length_of_password_gives_a_token(blocks):
    assert is_token(made_token(sha256_of("k"), b"x" * (16 * blocks - 1)))


@pytest.mark.parametrize("position", [-2, -3])
def test_unused_bits_before_the_padding_must_be_zero(position):
    """Base64 decoding ignores them, so that several texts would be one token."""
    for password in (b"x", b"x" * 20, b"x" * 40):
        token = made_token(sha256_of("k"), password)
        for other in URLSAFE:
            changed = bytearray(token)
            changed[position] = other
            assert is_token(bytes(changed)) == is_token_by_decoding(bytes(changed))


@pytest.mark.parametrize(
    "text",
    [b"gAAAAABnot-a-token", b"gAAAAA" + b"A" * 200, b"", b"g", b"{", b"{}", b" ", b"null", b"[]", b'"gAAAAA"'],
)
def test_what_merely_starts_like_ciphertext_is_a_password(text):
    assert shape_of(text) is None


def test_a_bare_token_has_a_shape_and_names_no_key():
    sealed = shape_of(TOKEN)
    assert sealed == (Encoding.TOKEN, TOKEN, None, False)


@pytest.mark.parametrize("around", [b" %b", b"%b\n", b"\xef\xbb\xbf%b", b"%b=", b'"%b"'])
def test_a_token_with_anything_around_it_is_a_password(around):
    assert shape_of(around % TOKEN) is None


ENVELOPES = {
    "as the application writes it": (made_envelope(TOKEN), "default"),
    "of a rotated key": (made_envelope(TOKEN, "key_0a1b2c3d"), "key_0a1b2c3d"),
    "compact": (
        json.dumps({"key_id": "default", "encrypted_data": PAYLOAD}, separators=(",", ":")).encode(),
        "default",
    ),
    "without key id": (json.dumps({"encrypted_data": PAYLOAD, "version": "1.0"}).encode(), None),
    "without version": (json.dumps({"key_id": "env_00112233", "encrypted_data": PAYLOAD}).encode(), "env_00112233"),
    "blanks around": (b" \t\r\n" + made_envelope(TOKEN) + b"\r\n\t ", "default"),
    "other order": (json.dumps({"version": "1.0", "encrypted_data": PAYLOAD, "key_id": "default"}).encode(), "default"),
    "further fields": (json.dumps({"encrypted_data": PAYLOAD, "note": ["é", {"a": 1}]}).encode(), None),
    "bare token inside": (made_envelope(TOKEN).replace(PAYLOAD.encode(), TOKEN), "default"),
    "escaped letters": (b'{"encrypted\\u005fdata": "' + PAYLOAD.encode() + b'"}', None),
    "key id that is no text": (json.dumps({"key_id": 5, "encrypted_data": PAYLOAD}).encode(), None),
    "key id null": (json.dumps({"key_id": None, "encrypted_data": PAYLOAD, "version": 1}).encode(), None),
    "fields twice, the last counts": (b'{"encrypted_data": "x", "encrypted_data": "%b"}' % PAYLOAD.encode(), None),
}


@pytest.mark.parametrize("name", ENVELOPES)
def test_the_payload_decides_what_an_envelope_is(name):
    text, key_id = ENVELOPES[name]
    sealed = shape_of(text)
    assert sealed is not None
    assert (sealed.encoding, sealed.token, sealed.named) == (Encoding.ENVELOPE, TOKEN, key_id)


PASSWORDS = {
    "payload is no base64": b'{"key_id": "default", "encrypted_data": "\xc3\xa9", "version": "1.0"}',
    "payload is no token": b'{"key_id": "default", "encrypted_data": "Zm9v", "version": "1.0"}',
    "payload of a wrong length": made_envelope(TOKEN[:-4]),
    "payload with a line break": json.dumps({"encrypted_data": PAYLOAD[:76] + "\n" + PAYLOAD[76:]}).encode(),
    "payload without its padding": json.dumps({"encrypted_data": PAYLOAD.rstrip("=")}).encode(),
    "payload is urlsafe base64 of junk": json.dumps({"encrypted_data": "_-" * 60}).encode(),
    "payload is half a character": b'{"encrypted_data": "\\ud800"}',
    "payload is a number": b'{"encrypted_data": 5}',
    "payload is null": b'{"encrypted_data": null}',
    "payload is a list": json.dumps({"encrypted_data": [PAYLOAD]}).encode(),
    "fields twice, the last is none": b'{"encrypted_data": "%b", "encrypted_data": "x"}' % PAYLOAD.encode(),
    "no payload": b'{"key_id": "default", "version": "1.0"}',
    "a list": b'[{"encrypted_data": "%b"}]' % PAYLOAD.encode(),
    "no JSON": made_envelope(TOKEN)[:-1],
    "something behind": made_envelope(TOKEN) + b"x",
    "two objects": made_envelope(TOKEN) * 2,
    "not UTF-8": b'{"encrypted_data": "%b", "a": "\xff"}' % PAYLOAD.encode(),
    "nested without end": b'{"a":' * 100_000 + b"}" * 100_000,
    "nested lists": b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "a number of 10,000 digits": b'{"encrypted_data": "%b", "a": %b}' % (PAYLOAD.encode(), b"1" * 10_000),
    "blanks that JSON has not": b"\x0b" + made_envelope(TOKEN),
}


@pytest.mark.parametrize("name", PASSWORDS)
def test_whatever_carries_no_token_is_a_password(name):
    assert shape_of(PASSWORDS[name]) is None


def test_only_the_applications_own_envelope_default_is_the_targets_form():
    exact = {name for name, (text, _) in ENVELOPES.items() if (shape_of(text) or pytest.fail()).exact}
    assert exact == {"as the application writes it"}
    assert shape_of(vectors.ENVELOPE_DEFAULT.encode()).exact
    assert not shape_of(made_envelope(TOKEN).replace(b'"1.0"', b'"1.1"')).exact


def test_a_bare_token_in_an_envelope_is_not_the_targets_form_even_if_both_alphabets_have_it():
    """A token without - and _ is standard base64 as well."""
    tokens = (made_token(sha256_of("some key"), b"some password", bytes([at]) * 16, at << 24) for at in range(256))
    token = next(token for token in tokens if not {*b"-_"} & {*token})
    sealed = shape_of(b'{"key_id": "default", "encrypted_data": "%b", "version": "1.0"}' % token)
    assert (sealed.token, sealed.exact) == (token, False)


@given(st.binary(max_size=300))
def test_no_bytes_break_it(text):
    assert shape_of(text) is None
    assert shape_of(b"{" + text + b"}") is None


def test_a_layers_repr_shows_no_token():
    assert TOKEN.decode() not in repr(shape_of(TOKEN))
