import json

import pytest

from credstore_pipeline.core.errors import SettingsError
from credstore_pipeline.deployments import deployment_from
from credstore_pipeline.settings import Settings
from credstore_pipeline.settings_reading import read_settings, secret_names

CANARY = "canary-6b1f2c-never-shown"


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "credentials.db"
    path.write_bytes(b"")
    return path


@pytest.fixture
def environ(monkeypatch, tmp_path, store):
    """A clean environment with the least that a run needs."""
    import os

    for name in list(os.environ):
        if name.startswith(("CREDSTORE_", "POSTGRES_", "NETRAVEN_", "DAGSTER_HOME")):
            monkeypatch.delenv(name)
    given = {
        "CREDSTORE_SQLITE_PATH": str(store),
        "POSTGRES_HOST": "db",
        "NETRAVEN_ENCRYPTION_KEY": CANARY,
        "DAGSTER_HOME": str(tmp_path / "home"),
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def no_server(base):
    raise AssertionError("the embedded server was started")


def refusal():
    with pytest.raises(SettingsError) as caught:
        deployment_from(read_settings(), no_server)
    assert CANARY not in str(caught.value)
    return str(caught.value)


def test_the_applications_own_variables_with_its_defaults_make_the_target(environ):
    target = deployment_from(read_settings(), no_server).target
    assert target.url.render_as_string(hide_password=False) == (
        "postgresql+psycopg2://netraven:netraven@db:5432/netraven"
    )
    assert target.schema == "public"


def test_nothing_set_names_every_missing_variable_at_once(environ):
    for name in ("CREDSTORE_SQLITE_PATH", "POSTGRES_HOST", "NETRAVEN_ENCRYPTION_KEY", "DAGSTER_HOME"):
        environ.delenv(name)
    text = refusal()
    for name in ("CREDSTORE_SQLITE_PATH", "CREDSTORE_POSTGRES_URL", "CREDSTORE_TARGET_KEY", "DAGSTER_HOME"):
        assert f"{name}: not set" in text


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("CREDSTORE_SQLITE_PATH", "/nowhere/store.db", "there is no such file"),
        ("POSTGRES_PORT", "fivethousand", "valid integer"),
        ("POSTGRES_PORT", "70000", "less than or equal to 65535"),
        ("CREDSTORE_POSTGRES_SSLMODE", "on", "verify-full"),
        ("CREDSTORE_POSTGRES_SSLROOTCERT", "/nowhere/ca.pem", "there is no such file"),
        ("CREDSTORE_SOURCE_KEYS", f'["{CANARY}"', "JSON list"),
        ("CREDSTORE_SOURCE_KEYS", f'{{"a": "{CANARY}"}}', "JSON list"),
        ("CREDSTORE_SOURCE_KEYS", "[1]", "JSON list"),
        ("CREDSTORE_KEY_DIR", "/nowhere", "there is no such folder"),
        ("CREDSTORE_KEY_BACKUP", "/nowhere.json", "there is no such file"),
        ("CREDSTORE_MAX_QUARANTINED", "-1", "greater than or equal to 0"),
        ("CREDSTORE_MAX_QUARANTINED_LINKS", "many", "valid integer"),
        ("CREDSTORE_PLAINTEXT", "keep", "'encrypt' or 'refuse'"),
        ("CREDSTORE_MISSING_TAGS", "drop", "'quarantine' or 'placeholder'"),
        ("CREDSTORE_PASSWORD_COLUMN", "wide", "'keep' or 'widen'"),
        ("CREDSTORE_BACKUP_KEEP", "0", "greater than or equal to 1"),
        ("DAGSTER_HOME", "relative/home", "absolute"),
        ("CREDSTORE_POSTGRES_URL", "sqlite:///x.db", "postgresql://"),
        ("CREDSTORE_POSTGRES_URL", "not a url", "postgresql://"),
    ],
)
def test_a_wrong_value_is_named_with_what_to_do(environ, name, value, said):
    environ.setenv(name, value)
    text = refusal()
    assert name in text
    assert said in text
    assert "docs/settings.md" in text


def test_a_url_that_disagrees_with_the_applications_variables_is_an_error(environ):
    environ.setenv("CREDSTORE_POSTGRES_URL", f"postgresql://u:{CANARY}@db/other")
    environ.setenv("POSTGRES_DB", "netraven")
    assert "POSTGRES_DB: it disagrees with CREDSTORE_POSTGRES_URL" in refusal()


def test_a_url_that_agrees_is_taken_with_the_driver_we_use(environ):
    environ.setenv("CREDSTORE_POSTGRES_URL", "postgresql://u:p%40ss@db/other")
    environ.setenv("CREDSTORE_POSTGRES_SSLMODE", "require")
    url = deployment_from(read_settings(), no_server).target.url
    assert (url.drivername, url.password, url.query["sslmode"]) == ("postgresql+psycopg2", "p@ss", "require")


def test_only_the_word_embedded_starts_a_server(environ):
    environ.delenv("POSTGRES_HOST")
    environ.setenv("CREDSTORE_POSTGRES_URL", "embedded")
    with pytest.raises(AssertionError, match="was started"):
        deployment_from(read_settings(), no_server)


def test_embedded_beside_the_applications_variables_is_an_error(environ):
    environ.setenv("CREDSTORE_POSTGRES_URL", "embedded")
    assert "POSTGRES_HOST" in refusal()


@pytest.mark.parametrize("name", secret_names())
def test_each_secret_can_stand_in_a_file(environ, tmp_path, name):
    values = {
        "CREDSTORE_SOURCE_KEYS": json.dumps([CANARY]),
        "CREDSTORE_POSTGRES_URL": f"postgresql://u:{CANARY}@db/netraven",
    }
    file = tmp_path / "secret"
    file.write_text(values.get(name, CANARY) + "\n")
    environ.delenv(name, raising=False)
    environ.setenv(f"{name}_FILE", str(file))
    read = getattr(read_settings(), name)
    assert read == {"CREDSTORE_SOURCE_KEYS": (CANARY,)}.get(name, values.get(name, CANARY))


def test_a_secret_set_twice_or_in_a_missing_or_empty_file_is_an_error(environ, tmp_path):
    empty = tmp_path / "empty"
    empty.write_text("\n")
    environ.setenv("NETRAVEN_ENCRYPTION_KEY_FILE", str(empty))
    environ.setenv("CREDSTORE_TARGET_KEY_FILE", str(empty))
    environ.setenv("POSTGRES_PASSWORD_FILE", str(tmp_path / "missing"))
    text = refusal()
    assert "NETRAVEN_ENCRYPTION_KEY_FILE: NETRAVEN_ENCRYPTION_KEY is set as well" in text
    assert "CREDSTORE_TARGET_KEY_FILE: the file is empty" in text
    assert "POSTGRES_PASSWORD_FILE: the file cannot be read" in text


def test_an_empty_key_string_counts_as_no_key(environ):
    environ.setenv("NETRAVEN_ENCRYPTION_KEY", "")
    assert "CREDSTORE_TARGET_KEY: not set, nor NETRAVEN_ENCRYPTION_KEY" in refusal()


def test_snapshots_never_lie_below_dagster_home(environ, tmp_path):
    environ.setenv("CREDSTORE_BACKUP_DIR", str(tmp_path / "home" / "snapshots"))
    assert "CREDSTORE_BACKUP_DIR: it lies below DAGSTER_HOME" in refusal()
    environ.delenv("CREDSTORE_BACKUP_DIR")
    assert deployment_from(read_settings(), no_server).places.backup_dir == tmp_path / "credstore-snapshots"


def test_the_target_key_defaults_to_the_applications_and_a_backup_needs_its_password(environ, tmp_path):
    assert deployment_from(read_settings(), no_server).keys.target_key == CANARY
    backup = tmp_path / "backup.json"
    backup.write_text("{}")
    environ.setenv("CREDSTORE_KEY_BACKUP", str(backup))
    assert "CREDSTORE_KEY_BACKUP_PASSWORD: not set" in refusal()


def test_nothing_shows_a_secret_in_a_repr(environ):
    environ.setenv("POSTGRES_PASSWORD", CANARY)
    settings = read_settings()
    assert CANARY not in repr(settings)
    assert CANARY not in repr(deployment_from(settings, no_server))


def test_every_setting_says_what_it_means():
    assert all(field.description for field in Settings.model_fields.values())
