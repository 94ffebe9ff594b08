"""Writes what lists all operations: `python docs/make_ops.py`.

These are `_names.py` of dynet_ops, docs/ops.md from docstrings, and a program for type checkers that calls operations
as a sample of theirs does. A test compares the files.
"""

from __future__ import annotations

import inspect
import os
import sys
import textwrap
from pathlib import Path

import dynet_ops
from dynet_core.op import OPS, Op

FILE = Path(__file__).with_name("ops.md")
CALLS = FILE.parents[1] / "tests" / "typing" / "calls_of_ops.py"
NAMES = Path(dynet_ops.__file__).with_name("_names.py")
HEAD = """# All operations

Every operation with its arguments, by the file that defines it. Shapes, errors, sources and an example of each are in
`help(dy.tanh)` and the like; the tests run the examples. Any of several expressions may have a batch.
Made by `python docs/make_ops.py`.
"""


NAMES_HEAD = '''"""The names of all ops. Made by `python docs/make_ops.py`."""

# ruff: noqa: F403, F405
{imports}

__all__ = [
{listed},
]  # fmt: skip
'''


def names() -> list[str]:
    """The public names: those in `__all__` of the modules that declare ops."""
    modules = [module for name, module in sys.modules.items() if name.startswith("dynet_ops.")]
    public = [
        getattr(module, "__all__", ()) for module in modules if Path(module.__file__ or "").parent != NAMES.parent
    ]
    return sorted({name for found in public for name in found})


def package() -> str:
    """The module that has these names."""
    folders = sorted(path.parent.name for path in NAMES.parent.glob("*/__init__.py"))
    listed = ", ".join(f'"{name}"' for name in names())
    return NAMES_HEAD.format(
        imports="\n".join(f"from .{folder} import *" for folder in folders),
        listed=textwrap.fill(listed, 116, initial_indent=" " * 4, subsequent_indent=" " * 4),
    )


CALLS_HEAD = '''"""Calls each operation as a sample of it does. Made by `python docs/make_ops.py`."""

from __future__ import annotations

import numpy as np

import dynet as dy


def x(*sizes: int) -> dy.Expression:
    """An expression; the last size is the batch."""
    return dy.inputTensor(np.full(sizes, 0.5), batched=True)


def calls() -> None:
    """Call all operations that have operands."""
'''


def calls() -> str:
    """The program that calls each operation."""
    lines = []
    for name in names():
        if name in OPS and OPS[name].record is getattr(dynet_ops, name) and OPS[name].samples[0].shapes:
            first = max(OPS[name].samples, key=lambda sample: len(sample.attributes))
            operands = ", ".join(f"x({', '.join(map(str, (*dims, batch)))})" for dims, batch in first.shapes)
            attributes = [f", {argument}={value!r}" for argument, value in first.attributes.items()]
            lines.append(f"    dy.{name}({f'[{operands}]' if first.as_list else operands}{''.join(attributes)})\n")
    return CALLS_HEAD + "".join(lines).replace("'", '"')


def sections() -> dict[str, list[str]]:
    """The public functions by the module that defines them."""
    found: dict[str, list[str]] = {}
    for name in names():
        function = getattr(dynet_ops, name)
        if inspect.isroutine(function) and function.__name__ == name:
            found.setdefault(function.__module__, []).append(name)
    return found


def signature_of(function) -> str:
    """The arguments without their types."""
    parameters = inspect.signature(function).parameters.values()
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in parameters]
    return str(inspect.Signature(bare))


def passes_none_on(op: Op) -> bool:
    """Whether an op has operands, which get no gradient."""
    return bool(op.samples[0].shapes) and not op.differentiable


def text() -> str:
    lines = [HEAD]
    for module, names in sorted(sections().items()):
        title = (sys.modules[module].__doc__ or module).splitlines()[0].rstrip(".")
        lines += [f"## {title}", "", "| operation | what it is |", "|---|---|"]
        for name in names:
            function = getattr(dynet_ops, name)
            summary = (function.__doc__ or "").splitlines()[0].replace("|", "\\|")
            mark = " (no gradient)" if name in OPS and passes_none_on(OPS[name]) else ""
            lines.append(f"| `{name}{signature_of(function)}` | {summary}{mark} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    made = package()
    if NAMES.read_text() != made:
        NAMES.write_text(made)
        os.execv(sys.executable, sys.orig_argv)  # a new process imports the new names
    CALLS.write_text(calls())
    FILE.write_text(text())
