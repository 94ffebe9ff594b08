"""Which recorder is chosen, and the messages about it; each case runs in a separate process."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from dynet_core import recorder
from dynet_core.recorder import cpython

PREPARE = """
import sys, sysconfig, types
import numpy
import dynet_kernels
from dynet_kernels.recorder import words
{change}
from dynet_core import recorder
print(recorder.DESCRIPTION)
"""
LINE = "dynet: operations are recorded in Python, which is slower: {problem}.\n"


def run(program: str, wanted: str | None = None, **environment) -> subprocess.CompletedProcess:
    everything = {**os.environ, **environment}
    everything.pop("DYNET_RECORDER", None)
    if wanted is not None:
        everything["DYNET_RECORDER"] = wanted
    command = [sys.executable, "-W", "error", "-c", program]
    return subprocess.run(command, env=everything, capture_output=True, text=True, timeout=300)


def chosen(change: str = "", wanted: str | None = None, **environment) -> subprocess.CompletedProcess:
    return run(PREPARE.format(change=change), wanted, **environment)


compiled_only = pytest.mark.skipif(bool(cpython.problem()), reason="the compiled recorder cannot work with this Python")


@compiled_only
@pytest.mark.parametrize("wanted", [None, "", "compiled"])
def test_the_compiled_recorder_is_chosen(wanted):
    done = chosen(wanted=wanted)
    said = [line for line in done.stderr.splitlines() if not line.startswith(("dynet: compiling", "dynet: compiled"))]
    assert (done.returncode, done.stdout, said) == (0, "compiled\n", [])


def test_the_recorder_in_python_is_chosen_without_a_word_if_it_was_asked_for():
    done = chosen(wanted="python")
    assert (done.returncode, done.stdout, done.stderr) == (0, "python: DYNET_RECORDER=python\n", "")


@pytest.mark.parametrize("wanted", ["nonsense", "Compiled", "0", " "])
def test_other_names_are_refused(wanted):
    done = chosen(wanted=wanted)
    assert done.returncode and done.stdout == ""
    message = f"ImportError: DYNET_RECORDER is {wanted!r}: use 'compiled' or 'python', or leave it unset"
    assert done.stderr.splitlines()[-1] == message


def test_this_process_says_what_it_was_asked_for():
    asked = os.environ.get("DYNET_RECORDER", "")
    wanted = {"python": "python: DYNET_RECORDER=python", "compiled": "compiled"}
    described = recorder.DESCRIPTION
    assert described == wanted.get(asked, described)
    assert described == "compiled" or described.startswith("python: ")


VARIABLE = """
get = sysconfig.get_config_var
sysconfig.get_config_var = lambda name: 1 if name == {name!r} else get(name)
"""
CHANGES = {
    "another implementation": (
        "sys.implementation = types.SimpleNamespace(**{**vars(sys.implementation), 'name': 'pypy'})",
        "this is pypy, not CPython",
    ),
    "words of 32 bits": ("sys.maxsize = (1 << 31) - 1", "this Python does not have little-endian words of 64 bits"),
    "the other byte order": ("sys.byteorder = 'big'", "this Python does not have little-endian words of 64 bits"),
    "free-threaded": (VARIABLE.format(name="Py_GIL_DISABLED"), "this is a free-threaded build of Python"),
    "traced references": (VARIABLE.format(name="Py_TRACE_REFS"), "this is a debug build of Python"),
    "debug": ("sys.gettotalrefcount = lambda: 0", "this is a debug build of Python"),
    "types": ("S = words.Structure; words.OBJECT = S('type', 'references')", "this Python stores types differently"),
    "references": ("sys.getrefcount = lambda x: 0", "this Python stores references differently"),
    "sizes of lists": (
        "S = words.Structure; words.LIST = S(*words.OBJECT, 'items', 'size')",
        "this Python stores lists differently",
    ),
    "sizes of tuples": (
        "S = words.Structure; words.TUPLE = S('size', *words.OBJECT)",
        "this Python stores tuples differently",
    ),
    "items of tuples": (
        "S = words.Structure; words.TUPLE = S(*words.OBJECT, 'size', 'hash')",
        "this Python stores tuples differently",
    ),
    "slices": (
        "S = words.Structure; words.SLICE = S(*words.OBJECT, 'stop', 'first', 'step')",
        "this Python stores slices differently",
    ),
}


@pytest.mark.few(each=3)
@compiled_only
@pytest.mark.parametrize("name", CHANGES)
def test_what_is_relied_on_is_compared(name):
    """Any difference selects the Python recorder, with a one-line reason; asking for the compiled one is an error."""
    change, problem = CHANGES[name]
    done = chosen(change)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"python: {problem}\n", LINE.format(problem=problem))
    done = chosen(change, "compiled")
    assert done.returncode and done.stdout == ""
    message = f"ImportError: DYNET_RECORDER=compiled was asked for, but {problem}"
    assert done.stderr.splitlines()[-1] == message
    done = chosen(change, "python")
    assert (done.returncode, done.stdout, done.stderr) == (0, "python: DYNET_RECORDER=python\n", "")


def test_every_comparison_has_a_change():
    compared = {name for name, _ in cpython._comparisons()}
    assert compared == {
        problem.split()[3] for _, problem in CHANGES.values() if problem.startswith("this Python stores")
    }


def test_builds_without_the_gil_and_for_debugging_have_the_recorder_in_python():
    """Detected if the tests run under such a build; under other builds no problem is found."""
    unusual = sysconfig.get_config_var("Py_GIL_DISABLED") or hasattr(sys, "gettotalrefcount")
    assert bool(cpython.problem()) == (bool(unusual) or sys.implementation.name != "cpython")


# Broken caches

NATIVE = {"DYNET_CPU": "native"}  # so that shipped compiled code is not used instead


@compiled_only
def test_a_cache_that_is_a_file(tmp_path):
    file = tmp_path / "cache"
    file.write_text("")
    done = chosen(DYNET_CACHE_DIR=str(file), **NATIVE)
    problem = f"it cannot be loaded: DYNET_CACHE_DIR cannot be used: {file} is not a directory"
    assert (done.returncode, done.stdout, done.stderr) == (0, f"python: {problem}\n", LINE.format(problem=problem))
    done = chosen(wanted="compiled", DYNET_CACHE_DIR=str(file), **NATIVE)
    assert done.returncode
    assert done.stderr.splitlines()[-1] == f"ImportError: DYNET_RECORDER=compiled was asked for, but {problem}"


@compiled_only
@pytest.mark.skipif(os.name != "posix", reason="needs POSIX modes")
def test_a_cache_that_others_can_write_to(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(0o777)
    done = chosen(DYNET_CACHE_DIR=str(folder))
    assert done.returncode == 0 and done.stdout.startswith("python: it cannot be loaded: DYNET_CACHE_DIR")
    assert "can be written to by others (mode 0777)" in done.stdout
    assert done.stderr == LINE.format(problem=done.stdout.removeprefix("python: ").removesuffix("\n"))
    assert not list(folder.iterdir())


def damage(file: Path, how: str) -> None:
    content = bytearray(file.read_bytes())
    if how == "shortened":
        content = content[: len(content) // 2]
    elif how == "a bit":
        content[len(content) // 3] ^= 4
    else:
        content.clear()
    file.write_bytes(content)


@pytest.mark.thorough
@compiled_only
def test_a_damaged_file_is_built_anew(tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir(0o700)
    wholes = set()
    for how in ("shortened", "a bit", "empty", "whole"):
        done = chosen(wanted="compiled", DYNET_CACHE_DIR=str(cache), **NATIVE)
        assert (done.returncode, done.stdout) == (0, "compiled\n")
        assert done.stderr.startswith("dynet: compiling")
        (file,) = cache.glob("*.o")
        wholes.add((file.name, file.stat().st_size))
        if how != "whole":
            damage(file, how)
    done = chosen(wanted="compiled", DYNET_CACHE_DIR=str(cache), **NATIVE)  # the last build is found
    assert (done.returncode, done.stdout, done.stderr) == (0, "compiled\n", "")
    assert len(wholes) == 1


# Other interpreters in the same process

IN_ANOTHER = """
import sys
try:
    import _interpreters as interpreters
    interpreter = interpreters.create("legacy")
except ImportError:
    import _xxsubinterpreters as interpreters
    interpreter = interpreters.create(isolated=False)
print(interpreters.run_string(interpreter, sys.argv[1]))
"""


def in_another_interpreter(program: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-W", "ignore", "-c", IN_ANOTHER, program]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def test_other_interpreters_are_refused_in_words():
    done = in_another_interpreter("import dynet_core")
    assert "dynet works only in the main interpreter of a process" in done.stdout + done.stderr


# Without ops

OPERATORS = """
from dynet_core import ParameterCollection
p = ParameterCollection().add_parameters(2)
signs = [lambda: -p, lambda: p[0], lambda: p[0:1]]
for operate in [*signs, lambda: p + p, lambda: p * 2.0, lambda: 1 - p, lambda: p / None]:
    try:
        operate()
    except TypeError as problem:
        print(problem)
"""


@compiled_only
def test_operators_are_refused_without_ops():
    done = run(OPERATORS)
    assert done.stdout.splitlines() == ["the operators of expressions come with dynet_ops: import it first"] * 7
