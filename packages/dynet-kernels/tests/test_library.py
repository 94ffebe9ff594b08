"""The machine's parts: compiled when they are used, each for itself, in real processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dynet_kernels
from dynet_kernels import rule
from dynet_kernels.kernels import SHARD, Fill, Kernels, NoCodeError

MESSAGE = "dynet: compiling kernels for this CPU, once (some seconds) ...\n"


def filled(count):
    kernels = Kernels()
    for number in range(count):
        kernels.add(f"k{number}", Fill())
    return kernels


def test_neighbours_share_a_shard():
    kernels = filled(SHARD + 2)
    assert list(kernels.shard(0)) == list(range(SHARD))
    assert list(kernels.shard(1).values()) == [(f"k{SHARD}", Fill()), (f"k{SHARD + 1}", Fill())]


def test_a_shard_is_used_when_an_opcode_is_asked_for():
    kernels = filled(SHARD + 2)
    assert kernels.used == set()
    assert kernels.opcode(f"k{SHARD}") == SHARD
    assert kernels.used == {1}
    assert kernels.use(3) == 3
    assert kernels.used == {0, 1}


def test_nothing_is_added_to_a_closed_shard():
    kernels = filled(2)
    kernels.close(0)
    kernels.close(0)
    assert kernels.add("late", Fill()) == SHARD
    kernels.close(0)  # it is no longer the last
    assert kernels.add("later", Fill()) == SHARD + 1
    assert [opcode for opcode, _, _ in kernels.numbered()] == [0, 1, SHARD, SHARD + 1]


def test_a_name_stands_for_one_kernel():
    kernels = filled(1)
    assert kernels.add("k0", Fill()) == 0
    with pytest.raises(ValueError, match="k0 is defined twice"):
        kernels.add("k0", rule.Rule(("y",), {"y": lambda: 1.0}))


def run(program, directory):
    """What a program prints, with a cache directory of its own, and what it says on stderr."""
    search = os.pathsep.join([str(Path(dynet_kernels.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": search, "DYNET_CACHE_DIR": str(directory)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


LATE = """
from dynet_kernels import library
from dynet_kernels.kernels import SHARD, Fill, Kernels, NoCodeError
library.PLACES = 2
kernels = Kernels()
kernels.use(kernels.add("fill", Fill()))
machine = library.Library(kernels)
first = machine.run
kernels.add("unused", Fill())
machine.load_used()
assert machine.run is first and machine._loaded == {0}
kernels.opcode("unused")
machine.load_used()
assert machine.run is first and machine._loaded == {0, 1}
kernels.use(kernels.add("more", Fill()))
machine.load_used()
assert machine.run is not first and machine._loaded == {0, 1, 2}
"""


def test_parts_are_compiled_when_used_and_kept_each_for_itself(tmp_path):
    _, errors = run(LATE, tmp_path)
    assert errors == MESSAGE
    assert len(list(tmp_path.glob("*.o"))) == 5  # three shards, and planners for two and for four
    assert run(LATE, tmp_path) == ("", "")


def test_instructions_without_code_are_refused(tmp_path):
    program = (Path(__file__).parent / "missing_code.py").read_text(encoding="utf-8")
    assert run(program, tmp_path)[0] == "refused\n"


def test_the_error_names_the_kernel():
    error = filled(1).no_code(0)
    assert isinstance(error, NoCodeError)
    assert "kernel k0 (opcode 0)" in str(error)
    assert "kernel unknown (opcode 99)" in str(filled(1).no_code(99))
