"""`python -m dynet`, the report for bug reports: each line says what it finds, or why it finds nothing."""

import os
import re
import subprocess
import sys
import sysconfig
import warnings
from importlib import metadata

import numpy as np
import pytest

import dynet
from dynet import __main__ as diagnostics
from dynet import _installation
from dynet_kernels import tuning, tuning_records
from dynet_kernels.cuda import driver
from dynet_kernels.machine import sharing
from dynet_kernels.target import host_cpu
from dynet_kernels.tuning import CPU_FAMILIES, UpdateTuning, defaults

NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}  # if there is a driver, it finds no GPU
IN_PYTHON = {"DYNET_RECORDER": "python"}  # so that the import adds nothing to a cache


def lines_of(*flags, without=(), **variables):
    """The lines of the report by name, with these environment variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DYNET_") and name not in without}
    done = subprocess.run(
        [sys.executable, *flags, "-m", "dynet"], env=kept | variables, capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, "")
    pairs = [line.partition(": ") for line in done.stdout.splitlines()]
    assert [name for name, _, _ in pairs] == list(diagnostics.LINES)
    return {name: text for name, _, text in pairs}


@pytest.fixture
def empty_cache(tmp_path):
    path = tmp_path / "cache"
    path.mkdir(mode=0o700)
    return path


def test_every_line_says_what_is_so(empty_cache):
    for name, size in (("one.o", 1 << 20), ("two.o", 1 << 19), ("one.lock", 1 << 21)):
        (empty_cache / name).write_bytes(bytes(size))
    cache_path = os.path.realpath(empty_cache)
    lines = lines_of(DYNET_CACHE_DIR=str(empty_cache), DYNET_NUM_THREADS="1", **NO_GPU, **IN_PYTHON)

    version = dynet.__version__
    assert lines["packages"] == ", ".join(
        f"{name} {version}" for name in (_installation.DISTRIBUTION, *_installation.SIBLING_DISTRIBUTIONS)
    )
    required = dict(text.rsplit(" ", 1) for text in lines["requirements"].split(", "))
    assert required.pop("numpy") == np.__version__
    assert required == {name: metadata.version(name) for name in diagnostics.REQUIREMENTS[1:]}
    assert re.fullmatch(
        r"CPython \d+\.\d+\.\d.* \((ordinary|free-threaded|debug|free-threaded, debug) build\)", lines["Python"]
    )
    assert " ".join(sys.version.split()) in lines["Python"]
    assert ("free-threaded" in lines["Python"]) == bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    assert ("debug" in lines["Python"]) == hasattr(sys, "gettotalrefcount")
    assert os.uname().release in lines["system"]
    assert re.fullmatch(r"\w+-\w+, .+", lines["CPU"])
    assert re.fullmatch(r"native, (4|8|16) numbers to a vector, [\w.-]+ to LLVM", lines["compile target"])
    assert re.match(r"python\b", lines["recorder"])
    assert lines["kernel cache"] == f"{cache_path}, 2 files, 1.5 MiB"
    assert lines["GPU"].startswith("none: the NVIDIA driver ")
    assert re.match(r"nvcc$|nvrtc$|none: neither nvcc .* nor nvrtc ", lines["GPU compiler"])
    cores = len(os.sched_getaffinity(0))
    assert (
        lines["threads"]
        == f"1 share work, of {sharing.MOST_DEFAULT_THREADS} at most; this process may use {cores} cores"
    )
    expected = f"DYNET_CACHE_DIR={str(empty_cache)!r}, DYNET_NUM_THREADS='1', DYNET_RECORDER='python'"
    assert lines["environment"] == expected


def test_no_kernel_is_compiled(empty_cache):
    lines_of(DYNET_CACHE_DIR=str(empty_cache), **IN_PYTHON)
    assert list(empty_cache.iterdir()) == []


def test_without_settings(monkeypatch):
    for name in os.environ:
        if name.startswith("DYNET_"):
            monkeypatch.delenv(name)
    assert diagnostics.environment() == "no DYNET_ variables are set"


def test_the_recorder_is_that_of_this_process():
    assert re.match(r"(compiled|python)\b", diagnostics.recorder())


@pytest.mark.few(each=2)
@pytest.mark.parametrize("variable", ["DYNET_CACHE_DIR", "XDG_CACHE_HOME"])
def test_a_cache_that_cannot_be_used_is_said_to_be_so(variable, tmp_path):
    """A file is in place of the directory. No other directory is used only if the user chose this one."""
    file = tmp_path / "file"
    file.write_text("")
    text = lines_of(**{variable: str(file)}, **IN_PYTHON)["kernel cache"]
    if variable == "DYNET_CACHE_DIR":
        reason = f"DYNET_CACHE_DIR cannot be used: {os.path.realpath(file)} is not a directory"
        assert text == f"unknown (CacheError: {reason})"
    else:
        instead, reason = re.fullmatch(r"(.+), \d+ files, [\d.]+ MiB; dynet: (.+)", text).groups()
        assert f"kept in {instead}, since {file}" in reason


def test_a_cache_of_others_is_said_to_be_so(empty_cache):
    empty_cache.chmod(0o777)
    text = lines_of(DYNET_CACHE_DIR=str(empty_cache), **IN_PYTHON)["kernel cache"]
    assert "can be written to by others (mode 0777)" in text


def test_a_cache_that_cannot_be_written_to_is_said_to_be_so(empty_cache, monkeypatch):
    monkeypatch.setenv("DYNET_CACHE_DIR", str(empty_cache))
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)  # root may write anywhere
    assert diagnostics.kernel_cache().endswith(", 0 files, 0.0 MiB, but it cannot be written to")


def test_without_a_home(tmp_path):
    """The cache is then in the home that the system has for this user, or in a temporary directory, with the reason."""
    text = lines_of(without=("HOME", "XDG_CACHE_HOME"), TMPDIR=str(tmp_path), **IN_PYTHON)["kernel cache"]
    assert re.match(r"/.*, \d+ files, [\d.]+ MiB", text)


def test_the_tuned_numbers_in_use_and_their_files_are_named(empty_cache):
    own = tuning_records.TuningRecord("update", "avx2", UpdateTuning(7), cpu=host_cpu().identity)
    tuning_records.write(empty_cache / tuning_records.USER_FILE_NAME, [own])
    said = lines_of(DYNET_CACHE_DIR=str(empty_cache), **IN_PYTHON)["tuning"]
    assert f"UpdateTuning(vectors=7) from {os.path.realpath(empty_cache)}/tuned.json" in said
    assert said.count(f" from {tuning_records.SHIPPED_RECORDS}/") == len(CPU_FAMILIES) - 1
    said = lines_of(DYNET_RECORDS="off", **IN_PYTHON)["tuning"]
    assert f"{defaults(host_cpu().lanes).product} from {tuning.__file__}" in said
    assert said.count(f" from {tuning.__file__}") == len(CPU_FAMILIES)


def test_a_chosen_target_is_named(empty_cache):
    lines = lines_of(DYNET_CPU="generic", DYNET_CACHE_DIR=str(empty_cache), **IN_PYTHON)
    assert lines["compile target"].startswith("generic, 4 numbers to a vector, ")
    assert "DYNET_CPU='generic'" in lines["environment"]


def test_what_is_wrong_with_one_line_leaves_the_others(empty_cache):
    lines = lines_of(DYNET_CPU="sse", DYNET_CACHE_DIR=str(empty_cache), **IN_PYTHON)
    assert lines["compile target"].startswith("unknown (ValueError: DYNET_CPU is 'sse': use one of ")
    assert lines["kernel cache"].endswith(", 0 files, 0.0 MiB")


def test_any_text_fits_on_one_line_of_any_terminal(tmp_path):
    lines = lines_of(
        "-W",
        "error",
        DYNET_CACHE_DIR=f"{tmp_path}/caché",
        PYTHONIOENCODING="ascii",
        DYNET_ODD="a\nb: \udcff",
        **IN_PYTHON,
    )
    assert r"/cach\xe9, 0 files" in lines["kernel cache"]
    assert r"DYNET_ODD='a\nb: \udcff'" in lines["environment"]


def test_a_line_that_fails_says_why_and_warnings_are_part_of_it():
    def fail():
        warnings.warn("something\nis odd", stacklevel=1)
        raise OSError("some\nreason")

    assert diagnostics.one_line(fail) == "unknown (OSError: some reason); something is odd"


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(_installation, "version_of", {"dynet-kernels": "3.0.0", "dynet-core": "3.0.0"}.get)
    monkeypatch.setattr(_installation, "is_installed", lambda module: module == "dynet_ops")
    expected = "dynet-kernels 3.0.0, dynet-core 3.0.0, dynet-ops from a source tree"
    assert diagnostics.packages().endswith(f"{expected}, dynet-rnn not installed, dynet-optim not installed")


def test_a_missing_driver_is_named(monkeypatch):
    monkeypatch.setattr(driver, "LIBRARY", "libnosuchcuda.so.1")
    driver._library.cache_clear()
    driver.gpu_count.cache_clear()
    assert diagnostics.gpus().startswith("none: the NVIDIA driver is missing: libnosuchcuda.so.1 cannot be loaded")


def test_a_missing_compiler_is_named(monkeypatch):
    monkeypatch.setattr(diagnostics.compiler, "find_nvcc", lambda: None)
    monkeypatch.setattr(diagnostics.compiler, "find_nvrtc", lambda: None)
    assert "pip install 'dynet-kernels[cuda]'" in diagnostics.gpu_compiler()


def answer(*arguments, **variables):
    """The exit status, stdout and stderr of `python -m dynet` with these arguments."""
    command = [sys.executable, "-m", "dynet", *arguments]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


def test_the_cache_is_cleared_of_kernels_alone(empty_cache):
    for name in ("one.o", "two.o", "killed.lock", "killed.new", "tuned.json", "notes.txt"):
        (empty_cache / name).write_bytes(bytes(1 << 20))
    (empty_cache / "directory.o").mkdir()
    (empty_cache / "link.o").symlink_to(empty_cache / "notes.txt")
    told = answer("--clear-cache", DYNET_CACHE_DIR=str(empty_cache), **IN_PYTHON)
    assert told == (0, f"removed 4 files (4.0 MiB) from {os.path.realpath(empty_cache)}\n", "")
    assert {path.name for path in empty_cache.iterdir()} == {"tuned.json", "notes.txt", "directory.o", "link.o"}
    told = answer("--dynet-seed", "3", "--clear-cache", DYNET_CACHE_DIR=str(empty_cache), **IN_PYTHON)
    assert told == (0, f"removed 0 files (0.0 MiB) from {os.path.realpath(empty_cache)}\n", "")


@pytest.mark.few(each=2)
@pytest.mark.parametrize("arguments", [["-m", "dynet"], ["-X", "utf8", "-mdynet", "--dynet-seed", "3"]], ids=" ".join)
def test_nothing_is_compiled_only_to_be_removed(empty_cache, arguments):
    command = [sys.executable, *arguments, "--clear-cache"]
    environment = {**os.environ, "DYNET_CACHE_DIR": str(empty_cache)}
    environment.pop("DYNET_RECORDER", None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"removed 0 files (0.0 MiB) from {os.path.realpath(empty_cache)}\n"


@pytest.mark.parametrize(
    ("started", "is_so"),
    [("python -m dynet --clear-cache", True), ("python -u -mdynet --clear-cache", True),
     ("python -m dynet", True), ("python -m tool --clear-cache", False), ("python -m dynets", False),
     ("python -m tool -m dynet --clear-cache", False), ("python dynet --clear-cache", False)],
)  # fmt: skip
def test_the_command_is_told_by_how_the_process_was_started(monkeypatch, started, is_so):
    words = started.split()
    named = next((place for place, word in enumerate(words) if word.startswith("-m")), None)
    rest = [] if named is None else words[named + (words[named] == "-m") + 1 :]
    monkeypatch.setattr(sys, "orig_argv", words)
    monkeypatch.setattr(sys, "argv", ["-m" if named is not None else "dynet", *rest])
    assert _installation.is_command() == is_so


def test_a_cache_that_cannot_be_used_is_said_in_one_line(tmp_path):
    (tmp_path / "file").write_text("no folder")
    status, output, errors = answer("--clear-cache", DYNET_CACHE_DIR=str(tmp_path / "file"), **IN_PYTHON)
    assert status == 1 and not output
    assert errors.startswith("python -m dynet: DYNET_CACHE_DIR cannot be used") and errors.count("\n") == 1


@pytest.mark.parametrize(("name", "value"), [("DYNET_NUM_THREADS", "abc"), ("DYNET_RECORDER", "none")])
def test_a_setting_that_cannot_be_used_is_said_in_one_line(name, value):
    status, output, errors = answer(**{**IN_PYTHON, name: value})
    assert status == 1 and not output
    assert errors.startswith(f"python -m dynet: {name} is {value!r}") and errors.count("\n") == 1


def test_a_reader_that_has_enough_is_no_error():
    with subprocess.Popen(
        [sys.executable, "-m", "dynet"], env={**os.environ, **IN_PYTHON}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_help_names_the_options():
    status, output, errors = answer("--help", **IN_PYTHON)
    assert (status, errors) == (0, "")
    assert "python -m dynet" in output and "--clear-cache" in output


@pytest.mark.parametrize("argument", ["--clear", "--cache", "anything"])
def test_unknown_arguments_are_refused(argument, empty_cache):
    (empty_cache / "one.o").write_bytes(b"")
    status, output, errors = answer(argument, DYNET_CACHE_DIR=str(empty_cache), **IN_PYTHON)
    assert (status, output) == (2, "")
    assert f"unrecognized arguments: {argument}" in errors
    assert (empty_cache / "one.o").exists()


@pytest.mark.parametrize(
    ("given", "rest"),
    [
        (["--dynet-seed", "3", "x"], ["x"]),
        (["--dynet_seed=3", "x"], ["x"]),
        (["--dynet-gpu", "x"], ["x"]),
        (["--dynet-seed"], []),
        (["--dynet-sed", "x"], ["--dynet-sed", "x"]),
        (["x", "--clear-cache"], ["x", "--clear-cache"]),
    ],
)
def test_flags_of_the_library_are_left_out(given, rest):
    assert diagnostics.without_dynet_flags(given) == rest
