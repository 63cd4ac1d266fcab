import traceback

import pytest

from credstore_pipeline.core.secrets.sealing import seal
from credstore_pipeline.store import ValueRefused
from credstore_pipeline.store.vault import open_vault

CANARY = "canary-77aa-never-in-an-error"


def refused(work, *words):
    with pytest.raises(ValueRefused) as caught:
        work()
    shown = "".join(traceback.format_exception(caught.value))
    assert CANARY not in shown
    for word in words:
        assert word in str(caught.value)
    assert "Nothing was changed." in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"name": CANARY + "x" * 256}, ("credentials.name", "at most 255 fit")),
        ({"name": CANARY + " " * 256}, ("credentials.name", "at most 255 fit")),
        ({"name": ""}, ("credentials.name", "it is empty")),
        ({"name": None}, ("credentials.name", "NoneType")),
        ({"username": CANARY + "x" * 256}, ("credentials.username", "at most 255 fit")),
        ({"username": CANARY + "\0"}, ("credentials.username", "NUL")),
        ({"description": CANARY + "\ud800"}, ("credentials.description", "surrogate")),
        ({"key_file": CANARY + "x" * 1024}, ("credentials.key_file", "at most 1024 fit")),
        ({"password": CANARY + "\udfff"}, ("credentials.password", "surrogate")),
        ({"password": CANARY.encode()}, ("credentials.password", "bytes")),
        ({"password": CANARY + "x" * 480}, ("adding a credential", "SQLSTATE 22001", "479 bytes")),
    ],
)
def test_what_does_not_fit_is_refused_and_not_quoted(store, sql, values, words):
    refused(lambda: store.add_credential(**{"name": "Core", "username": "admin", **values}), *words)
    assert sql("SELECT count(*) FROM credentials") == [(0,)]


def test_the_longest_values_are_stored_whole(store):
    credential_id = store.add_credential("n" * 255, "ü" * 255, "x" * 479, key_file="k" * 1024)
    found = store.get_credential(credential_id)
    assert (len(found.name), len(found.username), len(found.password), len(found.key_file)) == (255, 255, 479, 1024)


def test_a_wider_column_takes_longer_passwords(own, store, sql):
    sql("ALTER TABLE credentials ALTER COLUMN password TYPE text")
    assert store.get_credential(store.add_credential("Core", "admin", "x" * 5000)).password == "x" * 5000


def test_a_stored_text_is_not_taken_for_a_password(store, sql):
    """The application sealed what a client echoed, so that the password was sealed twice and lost to its readers."""
    credential_id = store.add_credential("Core", "admin", CANARY)
    ((stored,),) = sql("SELECT password FROM credentials")
    token = open_vault("k", [], None)._ring.primary.seal(b"x").decode()
    for echoed in (stored, token):
        refused(lambda echoed=echoed: store.update_credential(credential_id, password=echoed), "shape of ciphertext")
        refused(lambda echoed=echoed: store.add_credential("Core", "admin", echoed), "shape of ciphertext")
    assert store.get_credential(credential_id).password == CANARY


@pytest.mark.parametrize("name", ["x" * 51, "", "a\0"])
def test_a_tags_name_has_1_to_50_characters(store, name):
    refused(lambda: store.add_tag(name), "tags.name")


@pytest.mark.parametrize("odd", [CANARY + "\0", CANARY + "\ud800"])
def test_an_id_that_cannot_be_sent_is_refused_and_not_quoted(store, odd):
    with pytest.raises(ValueRefused) as caught:
        store.get_credentials_by_tag(odd)
    assert "psycopg2" not in "".join(traceback.format_exception(caught.value))


def test_the_vault_seals_as_the_pipeline_does():
    vault = open_vault("k", [], None)
    assert vault.open(seal(b"secret", vault._ring), "1") == vault.open(vault.seal("secret"), "1") == "secret"
