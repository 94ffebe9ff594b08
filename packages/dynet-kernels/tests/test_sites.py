"""Build directories: locked by their processes, and removed after these end."""

import os
import time

import pytest

from dynet_kernels import building as sites

needs_locks = pytest.mark.skipif(sites.fcntl is None, reason="needs locks")


def test_a_folder_is_there_for_its_block(tmp_path):
    with sites.locked_folder(tmp_path) as folder:
        (folder / "part").write_text("")
        assert [folder] == list(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_removed_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    made = []

    def make_and_remove_two(real=sites.tempfile.mkdtemp, **options):
        made.append(real(**options))
        if len(made) < 3:
            os.rmdir(made[-1])
        return made[-1]

    monkeypatch.setattr(sites.tempfile, "mkdtemp", make_and_remove_two)
    with sites.locked_folder(tmp_path) as folder:
        assert [str(folder)] == made[2:] and folder.exists()
    assert list(tmp_path.iterdir()) == []


@needs_locks
def test_what_is_in_use_stays_and_what_is_abandoned_goes(tmp_path):
    abandoned, foreign = tmp_path / f"{sites.FOLDER_PREFIX}dead", tmp_path / "somebody-else-s"
    for path in (abandoned, foreign):
        path.mkdir()
        (path / "part.o").write_text("")
    (tmp_path / f"{sites.FOLDER_PREFIX}file").write_text("")
    (tmp_path / f"{sites.FOLDER_PREFIX}link").symlink_to(foreign)
    with sites.locked_folder(tmp_path) as used:
        assert sites.prune(tmp_path) == [abandoned]
        assert used.exists() and foreign.exists() and not abandoned.exists()
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give files away")
def test_what_is_another_user_s_stays(tmp_path):
    path = tmp_path / f"{sites.FOLDER_PREFIX}other"
    path.mkdir()
    os.chown(path, 12345, -1)
    assert sites.prune(tmp_path) == []


@pytest.mark.parametrize("seconds", [sites.ABANDONED_AFTER / 2, 2 * sites.ABANDONED_AFTER])
def test_without_locks_age_decides(tmp_path, monkeypatch, seconds):
    monkeypatch.setattr(sites, "fcntl", None)
    path = tmp_path / f"{sites.FOLDER_PREFIX}unknown"
    path.mkdir()
    os.utime(path, (time.time() - seconds,) * 2)
    assert sites.prune(tmp_path) == ([path] if seconds > sites.ABANDONED_AFTER else [])


def test_a_directory_that_is_not_there_has_nothing_to_prune(tmp_path):
    assert sites.prune(tmp_path / "missing") == []
