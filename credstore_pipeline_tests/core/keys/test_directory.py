"""The application's key directory, with all that lies about in one."""

import base64
import json
import os

import pytest

from credstore_pipeline.core.errors import KeyRingError
from credstore_pipeline.core.keys.directory import read_key_directory

CANARY = "canary-in-a-key-file-0123456789"


def key_text(number: int) -> str:
    return base64.urlsafe_b64encode(bytes([number]) * 32).decode()


@pytest.fixture
def folder(tmp_path):
    """Two keys, the second active, as the application writes them."""
    (tmp_path / "key_00000001.key").write_text(key_text(1))
    (tmp_path / "key_00000002.key").write_text(key_text(2))
    write_metadata(tmp_path, ["key_00000001", "key_00000002"], "key_00000002")
    return tmp_path


def write_metadata(folder, key_ids, active):
    entry = {"created_at": "2025-03-22T10:00:00.000000", "source": "file", "active": False}
    keys = {key_id: {"id": key_id, **entry} for key_id in key_ids}
    content = {"keys": keys, "active_key_id": active, "last_updated": "2025-03-22T10:00:00.000000"}
    (folder / "key_metadata.json").write_text(json.dumps(content, indent=2))


def test_keys_are_read_by_the_applications_ids(folder):
    directory = read_key_directory(folder)
    assert directory.keys == {"key_00000001": b"\1" * 32, "key_00000002": b"\2" * 32}
    assert directory.active == "key_00000002"
    assert directory.named == ("key_00000001", "key_00000002")
    assert directory.warnings == ()


def test_keys_without_metadata_are_read(folder):
    (folder / "key_metadata.json").unlink()
    assert len(read_key_directory(folder).keys) == 2


def test_a_key_that_metadata_forgot_is_read(folder):
    write_metadata(folder, ["key_00000001"], "key_00000001")
    assert "key_00000002" in read_key_directory(folder).keys


def test_an_active_key_without_a_file_is_known_by_name(folder):
    (folder / "key_00000002.key").unlink()
    directory = read_key_directory(folder)
    assert set(directory.keys) == {"key_00000001"}
    assert directory.active == "key_00000002"


def test_an_imported_environment_key_is_read_under_its_id(folder):
    (folder / "env_f479f0c2.key").write_text(key_text(3))
    assert read_key_directory(folder).keys["env_f479f0c2"] == b"\3" * 32


def test_a_line_break_behind_a_key_does_no_harm(folder):
    (folder / "key_00000001.key").write_text(key_text(1) + "\n")
    assert read_key_directory(folder).keys["key_00000001"] == b"\1" * 32


def test_junk_is_left_aside_and_counted(folder):
    (folder / "README").write_text("notes")
    (folder / "tls.key").write_text("-----BEGIN PRIVATE KEY-----")
    (folder / "photo.key").write_bytes(bytes(range(256)) * 100)
    (folder / "key_00000009.key").mkdir()
    directory = read_key_directory(folder)
    assert set(directory.keys) == {"key_00000001", "key_00000002"}
    assert len(directory.warnings) == 1
    assert "2 .key file(s)" in directory.warnings[0]


def test_a_key_under_another_name_is_read_under_that_name(folder):
    (folder / "old master.key").write_text(key_text(3))
    (folder / "default.key").write_text(key_text(4))
    keys = read_key_directory(folder).keys
    assert keys["file:default"] == b"\4" * 32
    assert not any("master" in key_id for key_id in keys)


@pytest.mark.parametrize("content", ["", CANARY, key_text(1)[:-1], key_text(1).replace("=", "A")])
def test_a_mangled_key_file_is_an_error_that_names_it_and_shows_nothing(folder, content):
    (folder / "key_00000001.key").write_text(content)
    with pytest.raises(KeyRingError, match=r"key_00000001\.key") as caught:
        read_key_directory(folder)
    assert CANARY not in str(caught.value)


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(folder):
    (folder / "key_00000003.key").symlink_to(folder / "nowhere")
    with pytest.raises(KeyRingError, match=r"CREDSTORE_KEY_DIR: key_00000003\.key cannot be read"):
        read_key_directory(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_an_error_that_names_it(folder):
    (folder / "key_00000001.key").chmod(0)
    with pytest.raises(KeyRingError, match=r"key_00000001\.key"):
        read_key_directory(folder)


@pytest.mark.parametrize("name", ["missing", "a file"])
def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, name):
    (tmp_path / "a file").touch()
    with pytest.raises(KeyRingError, match="CREDSTORE_KEY_DIR"):
        read_key_directory(tmp_path / name)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"keys": []}', "[" * 100_000, '{"keys": null}', "\0"])
def test_broken_metadata_hinders_no_key(folder, text):
    (folder / "key_metadata.json").write_text(text)
    directory = read_key_directory(folder)
    assert len(directory.keys) == 2
    assert "key_metadata.json" in directory.warnings[0]


def test_names_in_metadata_that_the_application_never_made_are_not_shown(folder):
    write_metadata(folder, ["key_00000001", CANARY], CANARY)
    directory = read_key_directory(folder)
    assert directory.named == ("key_00000001",)
    assert directory.active is None


def test_its_repr_shows_no_key(folder):
    assert repr(read_key_directory(folder)) == "KeyDirectory(2 keys)"
