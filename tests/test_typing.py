"""The program checked by `nox -s types` uses every public name, and it runs."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dynet
from dynet_core.messages.hints import Hint

PROGRAM = Path(__file__).parent / "typing" / "every_public_name.py"
PARTS = {
    "names_of_ops.py": "an operation",
    "calls_of_ops.py": "one with operands (python docs/make_ops.py writes it)",
    "names_of_models.py": "a model, network or trainer",
    PROGRAM.name: "another",
}
TO_DO = "Use it as programs do, in a file of tests/typing: " + ", ".join(
    f"{file} for {of}" for file, of in PARTS.items()
)
INTERNAL = {
    "ComputationGraph": {
        "address", "check_thread", "final_version", "engine", "forget_values", "gradients", "holds",
        "settable_up_to", "settable_nodes", "invalidate", "node_count", "outdated", "records",
        "replace_input", "input_start", "values", "watch", "watch_or_new",
    },
    "AdamTrainer": {"rule"},
}  # fmt: skip
"""What a class has for the library's own modules, not for programs; its relatives have it, too."""


def uses(tree: ast.AST) -> tuple[set[str], set[str], set[str]]:
    """The names of `dy` in a program, those that are called, and the attributes of other objects."""
    names, called, attributes = set(), set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            of_dynet = isinstance(node.value, ast.Name) and node.value.id == "dy"
            (names if of_dynet else attributes).add(node.attr)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called.add(node.func.attr)
    return names, called, attributes


SOURCES = [(PROGRAM.parent / file).read_text(encoding="utf-8") for file in PARTS]
NAMES, CALLED, ATTRIBUTES = map(set.union, *[uses(ast.parse(source)) for source in SOURCES])


def public_members(kind: type) -> set[str]:
    """The public methods and attributes that this library's sources define for a class."""
    ours = [cls for cls in kind.__mro__ if cls.__module__.startswith("dynet")]
    found = [pair for cls in ours for pair in vars(cls).items()]
    members = {name for name, member in found if not name.startswith("_") and not isinstance(member, Hint)}
    internal = [names for name, names in INTERNAL.items() if {*getattr(dynet, name).__mro__} & {*ours}]
    return members.difference(*internal)


CLASSES = [name for name in dynet._PUBLIC if isinstance(getattr(dynet, name), type)]


def check_used(public: set[str], used: set[str], what: str) -> None:
    """Raise AssertionError with advice if the program does not use a name."""
    if missing := sorted(public - used):
        raise AssertionError(f"{what}: {', '.join(missing)}. {TO_DO}")


def test_the_program_uses_every_public_name_and_no_other():
    check_used({*dynet._PUBLIC}, NAMES, "dy has a name that no checked program uses")
    assert NAMES - {*dynet._PUBLIC} == {"__version__"}


def test_the_program_calls_every_function():
    functions = {name for name in dynet._PUBLIC if callable(getattr(dynet, name)) and name not in CLASSES}
    check_used(functions, CALLED, "dy has a function that no checked program calls")


@pytest.mark.parametrize("name", CLASSES)
def test_the_program_uses_every_method_and_attribute(name):
    what = f"{name} has a public member that no checked program uses (or list it in INTERNAL of this file)"
    check_used(public_members(getattr(dynet, name)), ATTRIBUTES, what)


def test_a_name_that_is_missing_is_told_where_to_write_it():
    with pytest.raises(
        AssertionError, match=r"new, other\. Use it .* of tests/typing: names_of_ops.py for an operation, "
    ):
        check_used({"other", "new", "tanh"}, NAMES, "dy has a name that no checked program uses")


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
