"""Saving replaces a file completely or not at all."""

import ast
import errno
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import dynet_core as dy
from dynet_core.files.replacing import replacing

KILLS = Path(__file__).with_name("kill_saves.py")
ROUNDS = os.environ.get("DYNET_KILLS", "40")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("form", ["text", "safetensors", "objects"])
def test_a_killed_save_leaves_the_old_or_the_new_file(form, tmp_path):
    command = [sys.executable, str(KILLS), str(tmp_path), ROUNDS, form]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    counts = ast.literal_eval(result.stdout)
    assert counts["found"].keys() == {1, 2} and counts["interrupted"], f"all kills came at one moment: {counts}"


def test_an_error_while_writing_leaves_the_old_file(tmp_path):
    file = tmp_path / "model"
    file.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(file) as new:
        new.write(b"new")
        raise ZeroDivisionError
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_an_interrupt_after_renaming_is_raised_as_it_is(tmp_path, monkeypatch):
    def replace(*paths):
        rename(*paths)
        raise KeyboardInterrupt

    rename = os.replace
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "file") as file:
        file.write(b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]


def test_a_full_disk_leaves_the_old_file(tmp_path):
    """A limit on file size simulates the full disk."""
    code = """
import resource
import dynet_core as dy
small, large = dy.ParameterCollection(), dy.ParameterCollection()
small.add_parameters(2, init=1)
large.add_parameters((1000, 1000), init=1)
small.save("model")
dy.save("objects", small.parameters_list())
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
saves = {
    "model": lambda: large.save("model"),
    "large.safetensors": lambda: large.save("large.safetensors"),
    "objects.data": lambda: dy.save("objects", large.parameters_list()),
}
for name, save in saves.items():
    try:
        save()
    except OSError as error:
        assert error.filename == name and name in str(error), error
        continue
    raise SystemExit("no error")
small.populate("model")
dy.load("objects", small)
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "objects.data", "objects.meta"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_device_that_is_full_is_named():
    model = dy.ParameterCollection()
    model.add_parameters(2)
    with pytest.raises(OSError, match="No space left on device: '/dev/full'") as caught:
        model.save("/dev/full")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "/dev/full")
    assert os.path.exists("/dev/full")


def test_errors_of_other_files_keep_their_names(tmp_path):
    for error in (OSError("said elsewhere"), OSError(errno.EIO, "broken", "another file")):
        with pytest.raises(OSError) as caught, replacing(tmp_path / "model"):
            raise error
        assert caught.value is error
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written(tmp_path):
    model = dy.ParameterCollection()
    model.add_parameters(2)
    with pytest.raises(IsADirectoryError):
        model.save(tmp_path)
    with pytest.raises(FileNotFoundError):
        model.save(tmp_path / "nowhere" / "model")
    (tmp_path / "objects.data").mkdir()
    with pytest.raises(IsADirectoryError):
        dy.save(tmp_path / "objects", model.parameters_list())
    assert [path.name for path in tmp_path.iterdir()] == ["objects.data"]


def test_a_file_that_must_not_be_written_is_left_alone():
    """Runs in a process without root privileges, because root may write anywhere."""
    code = """
import os, sys
from dynet_core.files.replacing import replacing
if os.name == "posix" and os.geteuid() == 0:
    os.setuid(65534)
try:
    with replacing(sys.argv[1]) as file:
        file.write(b"new")
except PermissionError:
    raise SystemExit(7)
"""
    with tempfile.TemporaryDirectory() as name:  # a folder that other users may enter
        file = Path(name, "model")
        file.write_text("old")
        file.chmod(0o444)
        Path(name).chmod(0o777)
        command = [sys.executable, "-c", code, str(file)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=100)
        assert result.returncode == 7, result.stderr
        assert file.read_text() == "old" and os.listdir(name) == ["model"]


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions and links")
def test_permissions_and_links_are_kept(tmp_path):
    file, link = tmp_path / "model", tmp_path / "link"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)
    with replacing(link) as new:
        new.write(b"new")
    assert link.is_symlink() and file.read_text() == "new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@pytest.mark.skipif(os.name != "posix", reason="needs /dev/null")
def test_what_is_no_file_is_written_to():
    with replacing("/dev/null") as file:
        file.write(b"values")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_appending_keeps_what_there_is(tmp_path):
    file = tmp_path / "model"
    file.write_text("old ")
    with replacing(file, keep_contents=True) as new:
        new.write(b"new")
    assert file.read_text() == "old new"
