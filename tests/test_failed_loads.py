"""Kernel loading that fails or is interrupted, at each stage: the next use works or raises a clear error."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from dynet_kernels.cache import store

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs fork and signals")

USES = """
import contextlib, os, signal, sys, tempfile, time, traceback
import numpy as np
import tvm_ffi
import dynet as dy
from dynet_kernels.cache import store
from dynet_kernels.machine import library

A = np.array([[2.0, 1.0], [0.0, 4.0]])

def first():
    x = dy.inputVector([1.0, 2.0])
    np.testing.assert_allclose(dy.tanh(x).npvalue(), np.tanh([1, 2]), rtol=1e-6)

def later():
    x = dy.inputTensor(A)
    y = dy.inverse(x)
    np.testing.assert_allclose(y.npvalue(), np.linalg.inv(A), rtol=1e-6)
    dy.sum_elems(y).backward(full=True)
    assert x.gradient().any()

def trained():
    model = dy.ParameterCollection()
    p = model.parameters_from_numpy([1.0])
    trainer = dy.SimpleSGDTrainer(model, 0.5)
    for _ in range(2):
        with contextlib.suppress(Failure):
            dy.renew_cg()
            dy.sum_elems(p).backward()
            trainer.update()
    trainer.update() if p.grad_as_array().any() else None
    assert p.as_array() < 1 and not p.grad_as_array().any(), (p.as_array(), p.grad_as_array())

class Failure(BaseException):
    pass

class Refused(store.CacheError, Failure):
    pass
"""

FORKS = """
def attempts(use, warm, owner, name, error, turn):
    # Use ops for the first time while a function of the library fails the `turn`-th time that it is called.
    if warm:
        first()
    real, calls = getattr(owner, name), []
    def failing(*arguments, **named):
        calls.append(name)
        if len(calls) == turn:
            setattr(owner, name, real)
            raise error("on purpose")
        return real(*arguments, **named)
    setattr(owner, name, failing)
    try:
        use()
    except error:
        pass
    else:
        assert use is trained or len(calls) < turn, f"{name} failed, and nothing was said"
    setattr(owner, name, real)
    first()
    later()
    dy.renew_cg()
    later()
    first()
    return len(calls) >= turn

def functions():
    yield store, "cache_directory"
    yield store, "load_object"
    yield store, "linker"
    yield library, "load_modules"
    yield library, "key_of"
    yield library, "find_code"
    yield library.Library, "load_used"

def in_children(error):
    failed = reached = 0
    for use, warm in ((first, False), (later, False), (later, True), (trained, False), (trained, True)):
        for owner, name in functions():
            for turn in (1, 2, 3):
                child = os.fork()
                if not child:
                    try:
                        os._exit(10 if attempts(use, warm, owner, name, error, turn) else 11)
                    except BaseException:
                        traceback.print_exc()
                        print("with", use.__name__, warm, name, turn, file=sys.stderr, flush=True)
                        os._exit(1)
                status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                reached += status == 10
                failed += status not in (10, 11)
                if status != 10:
                    break
    print(reached, failed)
"""


NATIVE = {**os.environ, "DYNET_CPU": "native"}  # compile kernels even if the package ships compiled ones


def run(program, **environment):
    command = [sys.executable, "-W", "error", "-c", program]
    return subprocess.run(command, env={**NATIVE, **environment}, capture_output=True, text=True, timeout=500)


@posix_only
@pytest.mark.parametrize(
    "error",
    [
        "KeyboardInterrupt",
        "OSError",
        pytest.param("MemoryError", marks=pytest.mark.thorough),
        pytest.param("store.CacheError", marks=pytest.mark.thorough),
    ],
)
def test_whatever_fails_once_works_the_next_time(error):
    first = run(USES + "first(), later(), trained()")  # compiles missing kernels
    assert first.returncode == 0, first.stderr
    done = run(USES.replace("except Failure", "except BaseException") + FORKS + f"in_children({error})")
    assert done.returncode == 0, done.stderr
    reached, failed = map(int, done.stdout.split())
    assert failed == 0, done.stderr
    assert reached > 25


KEYS = """
loaded = []
def stored(key, real=store.find_object):
    loaded.append(key)
    return real(key)
store.find_object = stored
first()
before = len(loaded)
later()
print(*loaded[:before], "|", *loaded[before:])
"""
INTERRUPTED = """
first()
print("warm", flush=True)
for _ in range(2):
    try:
        later()
        print("right", flush=True)
        break
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        x = dy.inputVector([1.0])
        assert (x + x).value() == 2.0
first()
"""


@pytest.fixture
def nearly_full(tmp_path):
    """A cache that lacks only the kernels of `later`."""
    done = run(USES + KEYS)
    assert done.returncode == 0, done.stderr
    here, lacking = (part.split() for part in done.stdout.split("|"))
    assert lacking
    directory = tmp_path / "cache"
    directory.mkdir(mode=0o700)
    for key in set(here) - set(lacking):
        other = store.cache_directory() / f"{key}.key"  # the key of the emitted code, which has the object file
        if other.exists():
            shutil.copy(other, directory)
            key = store._read(other, key).decode()
        shutil.copy(store.cache_directory() / f"{key}.o", directory)
    return directory


def started(directory):
    """A program that is compiling the kernels of `later`, in its own process group."""
    command = [sys.executable, "-W", "error", "-c", USES + INTERRUPTED]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = {**NATIVE, "DYNET_CACHE_DIR": str(directory)}
    process = subprocess.Popen(command, env=environment, start_new_session=True, **pipes)
    assert process.stdout.readline() == "warm\n", process.communicate()
    while not (line := process.stderr.readline()).startswith("dynet: compiling kernels"):
        assert line, process.communicate()
    return process


@pytest.mark.thorough
@posix_only
@pytest.mark.slow
def test_signals_while_kernels_are_compiled(nearly_full):
    """SIGTERM ends the program, and the next one works; SIGINT raises an exception, and the program continues."""
    process = started(nearly_full)
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=100)
    assert process.returncode == -signal.SIGTERM
    process = started(nearly_full)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert output.split() == ["interrupted", "right"], errors
    again = run(USES + "later()", DYNET_CACHE_DIR=str(nearly_full))
    assert (again.returncode, again.stderr) == (0, "")


@posix_only
def test_a_cache_that_is_refused_is_named_and_works_once_it_is_mended(tmp_path):
    directory = tmp_path / "cache"
    others = shutil.ignore_patterns(*(f"*{suffix}" for suffix in store.UNFINISHED_SUFFIXES))  # of running processes
    shutil.copytree(store.cache_directory(), directory, ignore=others)
    directory.chmod(0o777)
    program = """
import os
for _ in range(2):
    try:
        first()
    except store.CacheError as error:
        assert "can be written to by others" in str(error), error
    else:
        sys.exit("not refused")
os.chmod(os.environ["DYNET_CACHE_DIR"], 0o700)
first()
os.chmod(os.environ["DYNET_CACHE_DIR"], 0o777)
for use in (later, first):
    try:
        use()
    except store.CacheError as error:
        assert "can be written to by others" in str(error), error
    else:
        sys.exit("not refused")
os.chmod(os.environ["DYNET_CACHE_DIR"], 0o700)
later()
"""
    done = run(USES + program, DYNET_CACHE_DIR=str(directory))
    assert done.returncode == 0, done.stderr


@posix_only
@pytest.mark.parametrize("kind", ["pipe", "device", "socket", "directory"])
def test_no_file_in_the_place_of_a_stored_one_is_waited_for(tmp_path, kind, monkeypatch):
    monkeypatch.setenv("DYNET_CACHE_DIR", str(tmp_path / "cache"))
    path = store.cache_directory() / "key.o"
    with contextlib.ExitStack() as stack:
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "device":
            try:
                os.mknod(path, 0o600 | 0o020000, os.makedev(5, 0))
            except PermissionError:
                pytest.skip("only root can make a device")
        elif kind == "socket":
            stack.enter_context(socket.socket(socket.AF_UNIX)).bind(str(path))
        else:
            path.mkdir()
        assert store.find_object("key") is None
