import pickle
import threading
import traceback

import pytest

from credstore_pipeline.core.errors import KeyRingError, SettingsError
from credstore_pipeline.core.keys.key import Key
from credstore_pipeline.demo.encodings import Pen, default_key, env_key, file_key, head_key
from credstore_pipeline.demo.grains import Grains
from credstore_pipeline.store import CredentialStore, SecretUnopenable, get_credential_store, shared
from credstore_pipeline.store.vault import open_vault
from credstore_pipeline_tests.store.conftest import KEY

PASSWORD = "canary-5e0c-a password"
GRAINS = Grains("store")
FILE_KEY = file_key(GRAINS, "a key file")


@pytest.fixture
def stand(store, sql):
    """Put a stored text into the database as another program would; returns the credential's id."""

    def stand(stored):
        credential_id = store.add_credential("Core", "admin")
        sql("UPDATE credentials SET password = %s WHERE id = %s", stored, credential_id)
        return credential_id

    return stand


def pen():
    return Pen(GRAINS)


def test_a_wrong_key_raises_and_shows_neither_ciphertext_nor_key(make_store, store, sql):
    """The application's store returned the stored text as the password."""
    credential_id = store.add_credential("Core", "admin", PASSWORD)
    ((stored,),) = sql("SELECT password FROM credentials")
    wrong = make_store("a wrong canary key")
    with pytest.raises(SecretUnopenable, match=f"credentials id={credential_id}: no key of this store") as caught:
        wrong.get_credential(credential_id)
    shown = "".join(traceback.format_exception(caught.value))
    assert not any(secret in shown for secret in (PASSWORD, stored, "canary key", KEY))
    assert "encryption_key" in shown and "CREDSTORE_" not in str(caught.value)


def test_a_retired_key_opens_and_never_seals(make_store, store, sql):
    old = store.add_credential("old", "admin", PASSWORD)
    turned = make_store("a new key", retired_keys=["an older one", KEY])
    assert turned.get_credential(old).password == PASSWORD
    new = turned.add_credential("new", "admin", PASSWORD)
    assert make_store("a new key").get_credential(new).password == PASSWORD
    with pytest.raises(SecretUnopenable):
        store.get_credential(new)


@pytest.mark.parametrize(
    "stored",
    [
        pen().bare(PASSWORD, default_key(KEY)),
        pen().envelope(PASSWORD, default_key(KEY)),
        pen().envelope(PASSWORD, default_key(KEY), style="compact"),
        pen().envelope(PASSWORD, env_key(KEY)),
        pen().envelope(PASSWORD, FILE_KEY),
        pen().bare(PASSWORD, head_key(KEY, "netraven_salt")),
        pen().wrap(pen().envelope(PASSWORD, default_key(KEY)), FILE_KEY),
    ],
    ids=lambda stored: stored.encoding,
)
def test_every_encoding_of_the_application_opens(stand, make_store, tmp_path, stored):
    (tmp_path / f"{FILE_KEY.key_id}.key").write_text(FILE_KEY.text)
    credential_id = stand(stored.value)
    assert make_store(key_dir=tmp_path).get_credential(credential_id).password == PASSWORD


def test_plaintext_that_the_application_left_is_a_password(stand, store):
    assert store.get_credential(stand(PASSWORD)).password == PASSWORD
    assert store.get_credential(stand("")).password is None


def test_a_lost_inner_layer_is_not_handed_out(stand, store):
    """The application peeled one layer and returned the next as the password."""
    lost = pen().envelope(PASSWORD, file_key(GRAINS, "lost"))
    with pytest.raises(SecretUnopenable):
        store.get_credential(stand(pen().wrap(lost, default_key(KEY)).value))


def test_sealed_bytes_that_are_no_text_are_refused(stand, store):
    with pytest.raises(SecretUnopenable):
        store.get_credential(stand(pen().envelope(b"\xff\xfe", default_key(KEY)).value))


@pytest.mark.parametrize("key", [None, ""])
def test_without_a_key_there_is_no_store(database, monkeypatch, key):
    """The application's store went on and stored plaintext."""
    monkeypatch.delenv("NETRAVEN_ENCRYPTION_KEY", raising=False)
    with pytest.raises(KeyRingError, match="plaintext is never written"):
        CredentialStore(database.url, key)


def test_the_key_of_the_environment_counts_where_none_is_given(database, monkeypatch, store, tmp_path):
    credential_id = store.add_credential("Core", "admin", PASSWORD)
    monkeypatch.setenv("NETRAVEN_ENCRYPTION_KEY", KEY)
    with CredentialStore(database.url) as other:
        assert other.get_credential(credential_id).password == PASSWORD
    monkeypatch.delenv("NETRAVEN_ENCRYPTION_KEY")
    (tmp_path / "key").write_text(KEY + "\n")
    monkeypatch.setenv("NETRAVEN_ENCRYPTION_KEY_FILE", str(tmp_path / "key"))
    with CredentialStore(database.url) as other:
        assert other.get_credential(credential_id).password == PASSWORD
    monkeypatch.setenv("NETRAVEN_ENCRYPTION_KEY_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(SettingsError, match="NETRAVEN_ENCRYPTION_KEY_FILE"):
        CredentialStore(database.url)


def test_one_text_is_no_list_of_retired_keys(database):
    with pytest.raises(KeyRingError, match="not a list"):
        CredentialStore(database.url, KEY, retired_keys="an old key")


def test_keys_are_in_no_repr_and_no_pickle(store):
    for one in (store, open_vault(KEY, ["an old key"], None)):
        assert KEY not in repr(one) and "old key" not in repr(one)
    assert repr(store).startswith("CredentialStore(")
    with pytest.raises(TypeError):
        pickle.dumps(open_vault(KEY, [], None))


def test_the_process_has_one_store_however_many_ask(database, store, monkeypatch):
    """The application's function took its own lock twice and never returned."""
    monkeypatch.setattr(shared, "_store", None)
    monkeypatch.setenv("CREDENTIAL_STORE_DB_URL", database.url.render_as_string(hide_password=False))
    monkeypatch.setenv("NETRAVEN_ENCRYPTION_KEY", KEY)
    credential_id = store.add_credential("Core", "admin", PASSWORD)
    found = []
    threads = [threading.Thread(target=lambda: found.append(get_credential_store())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 4 and len(set(map(id, found))) == 1
    with found[0] as one:
        assert one.get_credential(credential_id).password == PASSWORD


def test_sealing_that_fails_stores_nothing(store, sql, monkeypatch):
    """The application's store logged the failure and stored plaintext."""

    def fail(*_):
        raise MemoryError

    credential_id = store.add_credential("Core", "admin", PASSWORD)
    before = sql("SELECT * FROM credentials")
    monkeypatch.setattr(Key, "seal", fail)
    for work in (
        lambda: store.add_credential("Edge", "admin", PASSWORD),
        lambda: store.update_credential(credential_id, password="another"),
    ):
        with pytest.raises(MemoryError):
            work()
    assert sql("SELECT * FROM credentials") == before
