"""The program that checkers check (`nox -s types`) uses every public name, and it runs."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dynet
from dynet_core.hints import Hint

PROGRAM = Path(__file__).parent / "typing" / "every_public_name.py"
INTERNAL = {
    "ComputationGraph": {
        "address", "as_of", "check_thread", "ended", "engine", "forget_values", "gradients", "holds",
        "input_index", "invalidate", "node", "node_count", "number", "records", "replace_input", "start_of",
        "values", "watch",
    },
    "RNNState": {"is_plain", "made", "of", "operands", "read", "start", "vectors", "with_vectors"},
    "VanillaLSTMBuilder": {"advance"},
    "NaryTreeLSTMBuilder": {"check_count", "signature", "takes_gaps"},
    "AdamTrainer": {"rule"},
}  # fmt: skip
"""What a class has for the library's own modules, not for programs; its relatives have it, too."""


def uses(tree: ast.AST) -> tuple[set[str], set[str], set[str]]:
    """The names of `dy` in a program, those of them that are called, and the attributes of other things."""
    names, called, attributes = set(), set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            of_dynet = isinstance(node.value, ast.Name) and node.value.id == "dy"
            (names if of_dynet else attributes).add(node.attr)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called.add(node.func.attr)
    return names, called, attributes


NAMES, CALLED, ATTRIBUTES = uses(ast.parse(PROGRAM.read_text(encoding="utf-8")))


def public_members(kind: type) -> set[str]:
    """The methods and attributes that the sources of this library give a class, for programs."""
    ours = [cls for cls in kind.__mro__ if cls.__module__.startswith("dynet")]
    found = [pair for cls in ours for pair in vars(cls).items()]
    members = {name for name, member in found if not name.startswith("_") and not isinstance(member, Hint)}
    internal = [names for name, names in INTERNAL.items() if {*getattr(dynet, name).__mro__} & {*ours}]
    return members.difference(*internal)


CLASSES = [name for name in dynet.__all__ if isinstance(getattr(dynet, name), type)]


def test_the_program_uses_every_public_name_and_no_other():
    assert {*dynet.__all__} - NAMES == set()
    assert NAMES - {*dynet.__all__} == {"__version__"}


def test_the_program_calls_every_function():
    functions = {name for name in dynet.__all__ if callable(getattr(dynet, name)) and name not in CLASSES}
    assert functions - CALLED == set()


@pytest.mark.parametrize("name", CLASSES)
def test_the_program_uses_every_method_and_attribute(name):
    assert public_members(getattr(dynet, name)) - ATTRIBUTES == set()


def test_what_is_internal_exists():
    assert [
        f"{kind}.{name}"
        for kind, names in INTERNAL.items()
        for name in names
        if not hasattr(getattr(dynet, kind), name)
    ] == []


def test_the_program_runs():
    command = [sys.executable, "-W", "error", str(PROGRAM)]
    environment = {**os.environ, "DYNET_LSTM_BUILDER": "coupled"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr
