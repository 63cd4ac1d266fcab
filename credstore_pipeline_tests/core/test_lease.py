"""Folders in use, while others remove whatever nobody uses."""

import sys
import threading

import pytest

from credstore_pipeline.core.lease import lease_new, lease_on, remove_unheld

ROUNDS = 1000


def test_a_held_folder_stays_and_a_released_one_goes(tmp_path):
    folder = tmp_path / "run"
    lease = lease_new(folder)
    assert not remove_unheld(folder)
    lease.release()
    assert remove_unheld(folder)
    assert not folder.exists()
    assert lease_on(folder) is None


@pytest.fixture
def restless():
    """Have threads take turns as often as can be, wherever they are."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
def test_a_folder_that_is_made_anew_while_others_remove_it_is_not_taken_away(tmp_path):
    folder, done = tmp_path / "run", threading.Event()

    def remove() -> None:
        while not done.is_set():
            remove_unheld(folder)

    removers = [threading.Thread(target=remove, daemon=True) for _ in range(3)]
    for remover in removers:
        remover.start()
    try:
        for _ in range(ROUNDS):
            lease = lease_new(folder)
            (folder / "staged").write_text("a frame")
            done.wait(0.0002)
            assert (folder / "staged").exists()
            lease.release()
    finally:
        done.set()
        for remover in removers:
            remover.join()


def test_a_file_in_place_of_the_folder_is_said(tmp_path):
    (tmp_path / "run").touch()
    with pytest.raises(NotADirectoryError):
        lease_new(tmp_path / "run")
