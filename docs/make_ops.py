"""Writes docs/ops.md, the list of all operations, from their docstrings: python docs/make_ops.py"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import dynet_ops
from dynet_core.op import OPS, Op

FILE = Path(__file__).with_name("ops.md")
HEAD = """# All operations

Every operation with its arguments, by the file that defines it. Shapes, errors, sources and an example of each are in
`help(dy.tanh)` and the like; the tests run the examples. Any of several expressions may have a batch.
Made by `python docs/make_ops.py`.
"""


def sections() -> dict[str, list[str]]:
    """The public functions by the module that defines them."""
    found: dict[str, list[str]] = {}
    for name in sorted(dynet_ops.__all__):
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
    FILE.write_text(text())
