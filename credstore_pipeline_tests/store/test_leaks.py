"""A canary password and canary keys, searched for wherever they could come to light."""

import base64
import contextlib
import json
import logging
import os
import traceback
from pathlib import Path

import pytest

from credstore_pipeline.core.errors import CredstoreError
from credstore_pipeline.embedded import embedded_server
from credstore_pipeline.store import CredentialStore
from credstore_pipeline_tests.store.conftest import QUICK

PASSWORD = "canary-password-6b0e52f1-ü"
CHANGED = "canary-changed-91d3c7aa"
KEY = "canary-key-0f44b8e2"
RETIRED = "canary-retired-key-aa81"
SECRETS = (PASSWORD, CHANGED, KEY, RETIRED)


def forms(secret):
    """The secret as it could stand somewhere: raw, as JSON, as base64 at each of its three offsets."""
    raw = secret.encode()
    codes = [base64.b64encode(b"\0" * offset + raw)[4:-4] for offset in range(3)]
    return [raw, json.dumps(secret)[1:-1].encode(), raw.hex().encode(), *codes]


def found_in(content: bytes):
    return [secret for secret in SECRETS for form in forms(secret) if form in content]


@pytest.fixture(scope="module")
def telling_server():
    """A server that writes down every statement with its values."""
    base = Path(os.environ["CREDSTORE_TESTS_SERVER"]) / f"telling-{os.getpid()}"
    settings = {
        "fsync": "off",
        "log_statement": "all",
        "log_min_error_statement": "debug5",
        "log_error_verbosity": "verbose",
        "autovacuum": "off",
    }
    with embedded_server(base, settings=settings) as server:
        yield server


def errors_of(*works):
    shown = []
    for work in works:
        with pytest.raises(CredstoreError) as caught:
            work()
        shown += [*traceback.format_exception(caught.value), repr(caught.value), repr(caught.value.__context__)]
    return shown


def test_no_secret_comes_to_light(telling_server, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    url = telling_server.url("leaks")
    old = CredentialStore(url, RETIRED, settings=QUICK)
    store = CredentialStore(url, KEY, retired_keys=[RETIRED], settings=QUICK)
    store.initialize()
    tag = store.add_tag("Routers")
    one = old.add_credential("Core", "admin", PASSWORD, tags=[tag])
    assert store.get_credential(one).password == PASSWORD
    assert store.get_credentials_by_tag(tag)[0].password == PASSWORD
    store.reencrypt_all_credentials()
    store.update_credential(one, password=CHANGED)
    store.update_credential_status(one, tag, True)
    assert store.get_smart_credentials_for_tag(tag)[0].password == CHANGED
    shown = errors_of(
        lambda: old.get_credential(one),
        old.reencrypt_all_credentials,
        lambda: store.add_credential("x" * 256, "admin", PASSWORD),
        lambda: store.add_credential("Core", "admin", PASSWORD, tags=["nowhere"]),
        lambda: store.add_credential("Core", "admin", PASSWORD * 100),
        lambda: store.add_credential("Core", "admin", PASSWORD + "\ud800"),
        lambda: store.update_credential(one, password=CHANGED + "\ud800"),
        lambda: store.add_tag("Routers"),
    )
    results = [
        store.get_credential(one),
        store.list_credentials(),
        store.get_smart_credentials_for_tag(tag),
        store,
        old,
    ]
    store.close()
    old.close()
    output = "".join(capfd.readouterr())
    log = telling_server.log_path.read_bytes()
    assert b"INSERT INTO public.credentials" in log and b"Z0FBQUFB" in log
    surfaces = {
        "the server's log": log,
        "output": output.encode(),
        "our log": caplog.text.encode(),
        "errors": "".join(shown).encode(),
        "repr": repr(results).encode(),
    }
    assert {name: found_in(content) for name, content in surfaces.items()} == {name: [] for name in surfaces}
    data = telling_server.home / "server" / "data"
    files = [path for path in data.rglob("*") if path.is_file() and path.stat().st_size < 64 << 20]
    assert len(files) > 100
    for path in files:
        # The server may take one away meanwhile.
        with contextlib.suppress(FileNotFoundError):
            assert found_in(path.read_bytes()) == [], path.name


def test_the_search_finds_what_it_looks_for():
    for secret in SECRETS:
        for hidden in (secret, json.dumps({"p": secret}), base64.b64encode(f"a{secret}bc".encode()).decode()):
            assert found_in(hidden.encode()) != []
