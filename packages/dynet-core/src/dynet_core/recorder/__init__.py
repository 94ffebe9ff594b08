"""Recording: how a node gets into a thread's graph, and what an expression is.

There are two recorders behind one interface: `compiled`, whose functions are machine code made by TVM, and `plain`, in
Python. `DYNET_RECORDER=python` asks for the plain one, which also serves where this Python is not stored as the
compiled one has to know. Both have:

- `expression_type(operations)`: makes `Expression`, whose methods are those of a class; attributes `at`, `version` and
  `type` (its Dim). The version of a parameter is ANY_GRAPH.
- `Records`: what one thread has recorded; `adopt` makes it that of the thread that calls.
- `commit(dim, nodes, head, operands, version)` adds a record to it, `sequence` one of a list of nodes, `take` input
  values, `take_keyed` those of a random node; `handle(at, dim)` gives an expression of a node.
- `noise`, `set_noise` and `draw`: where the keys of random nodes come from.
- `function(kind, slow)`: a function that records quickly what it knows, and calls `slow` for the rest, which says what
  there is to know by `enter`.
- `with_templates(op, learn)`: has an op recorded as it was before, where its arguments have the same `key`.
- `operator`, `negative`, `subscript`: what the operators of `Expression` do.
- `become(x, at, dim)` makes an object a parameter.
- `next_generation`: graphs ask Python for what passes need before the next one; `note_pass`: there has been a pass.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from dynet_kernels.cache import CacheError
from dynet_kernels.recorder.words import ANY_GRAPH, NO_NODE

from . import cpython

WANTED = os.environ.get("DYNET_RECORDER", "")


def _choose():
    """The module that records, and which it is and why."""
    if WANTED not in ("", "compiled", "python"):
        raise ImportError(f"DYNET_RECORDER is {WANTED!r}: use 'compiled' or 'python', or leave it unset")
    problem = "DYNET_RECORDER=python" if WANTED == "python" else cpython.problem()
    if not problem:
        try:
            from . import compiled

            return compiled, "compiled"
        except (CacheError, OSError) as error:  # no place for machine code, or none could be made
            lines = str(error).strip().splitlines()
            problem = "it cannot be loaded: " + " ".join(dict.fromkeys([lines[0], lines[-1]]))
    if WANTED == "compiled":
        raise ImportError(f"DYNET_RECORDER=compiled was asked for, but {problem}")
    from . import plain

    if WANTED != "python":
        print(f"dynet: operations are recorded in Python, which is slower: {problem}.", file=sys.stderr)
    return plain, f"python: {problem}"


_recorder, DESCRIPTION = _choose()

Documented = TypeVar("Documented", bound=Callable[..., Any])


class _Describe(Protocol):
    def __call__(self, record: Any, documented: Documented, around: Callable[..., Any] | None = None) -> Documented: ...


if TYPE_CHECKING:
    from .compiled import Records
else:
    Records = _recorder.Records

FUNCTION_TYPE: type = type(_recorder.commit)  # of all recording functions
become = _recorder.become
commit = _recorder.commit
describe: _Describe = _recorder.describe  # checkers see the documented function
draw = _recorder.draw
expression_type = _recorder.expression_type
function = _recorder.function
generation = _recorder.generation
handle = _recorder.handle
key = _recorder.key
know_parameters = _recorder.know_parameters
negative = _recorder.negative
next_generation = _recorder.next_generation
noise = _recorder.noise
note_pass = _recorder.note_pass
operator = _recorder.operator
passes = _recorder.passes
sequence = _recorder.sequence
set_noise = _recorder.set_noise
subscript = _recorder.subscript
take = _recorder.take
take_keyed = _recorder.take_keyed
with_templates = _recorder.with_templates

__all__ = [
    "ANY_GRAPH", "DESCRIPTION", "FUNCTION_TYPE", "NO_NODE", "Records", "become", "commit", "describe", "draw",
    "expression_type", "function", "generation", "handle", "key", "know_parameters", "negative",
    "next_generation", "noise", "note_pass", "operator", "passes", "sequence", "set_noise",
    "subscript", "take", "take_keyed", "with_templates",
]  # fmt: skip
