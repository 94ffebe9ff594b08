"""The recorder: makes the type of expressions, and appends nodes to a thread's graph.

A graph is a list of records. A record describes one or more nodes (values to compute) by a few integers: first its
signature, which says what is computed, then its operands. Numbers that the user passes in are kept in an input buffer.
A recording function appends a record and returns an `Expression`, which refers to the last node of this record. In the
compiled recorder, each recording function has a table that maps keys to signatures. A key is what the signature depends
on: usually the Dims (shapes) of the operands. A random node is one that draws random numbers, such as dropout. All its
random numbers follow from its random key: two integers in the input buffer. Random keys have nothing to do with the
keys of tables. Each graph has a version, which changes when nodes are removed, so that expressions of removed nodes are
noticed. A pass is the computation of the values (forward) or gradients (backward) of a graph.

There are two recorders with one interface: the compiled one, machine code made by TVM, and the one in Python, the
module `python_recorder`. The compiled one has extension types of CPython for expressions and recording functions, whose
methods CPython calls like functions written in C. It is in the modules `functions`, `records`, `shared` and `types`.
The one in Python is used if `DYNET_RECORDER=python` is set, if this Python's objects do not have the memory layout that
the compiled one relies on, or if its machine code cannot be made or loaded. Both keep a graph in the words that
`graph_records` reads, and count in `counters`. Both have:

- `expression_type(operations)`: make the type `Expression` with the methods of the class `operations` and the
  attributes `at` (the number of the node), `version` (of its graph) and `type` (its Dim). The version of a parameter is
  ANY_GRAPH.
- `Records`: the records of one thread's graph. `Records.adopt` makes the calling thread append to them.
- `commit(dim, nodes, head, operands, version)`: append a record; `sequence`: append a record whose operands are a list.
- `commit_with_inputs`: append a record that refers to input values, if no pass has been over these.
- `take`: append numbers to the input buffer; `take_keyed`: append a new random key, and then numbers.
- `handle(at, dim)`: return an expression for node number `at`.
- `noise`, `set_noise` and `draw`: read, set and advance the source of random keys.
- `function(kind, slow)`: return a recording function. If its table has the key of a call, it appends the record itself.
  Otherwise it calls `slow`, which records in Python, and adds the key to the table by the method `enter`.
- `describe(record, documented)`: give a recording function the name, docstring and parameters of a Python function.
- `with_templates(op, learn)`: return a function that appends the records of `op` from a template (a copy of what an
  earlier call has recorded) if it has one for this call. `key(*arguments)` returns the key of a call's template.
- `replay(dim, template, operands, version)`: append the records of a template that the caller has kept.
- `operator(name, pair, right, left)`: set one of the operators +, -, * and / of `Expression`.
- `know(**objects)`: tell the recorder which objects have roles, such as the classes of parameters.
- `become(x, at, dim)`: make `x` a parameter.
- `next_generation`: tell graphs that signatures or parameters change, so that the next pass starts from Python.
  `generation` returns a number that each such call changes.
- `note_pass`: add 1 to the number of backward passes; `passes`: return this number.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from dynet_kernels.cache import CacheError
from dynet_kernels.recorder.words import ANY_GRAPH, NO_NODE

from . import counters, cpython
from .counters import generation, next_generation, note_pass, passes

if TYPE_CHECKING:
    from .counters import noise, set_noise
    from .functions import describe, function, operator, with_templates
    from .records import Records, commit, commit_with_inputs, draw, handle, key, replay, sequence, take, take_keyed
    from .shared import know
    from .types import become, expression_type

__all__ = [
    "ANY_GRAPH", "DESCRIPTION", "FUNCTION_TYPE", "HAS_TEMPLATES", "NO_NODE", "Records", "become", "commit",
    "commit_with_inputs", "describe", "draw", "expression_type", "function", "generation", "handle", "key", "know",
    "next_generation", "noise", "note_pass", "operator", "passes", "replay", "sequence", "set_noise", "take",
    "take_keyed", "with_templates",
]  # fmt: skip
WANTED = os.environ.get("DYNET_RECORDER", "")


def _choose():
    """Choose the compiled recorder or the one in Python. Return its names, and a text that says which one and why."""
    if WANTED not in ("", "compiled", "python"):
        raise ImportError(f"DYNET_RECORDER is {WANTED!r}: use 'compiled' or 'python', or leave it unset")
    problem = "DYNET_RECORDER=python" if WANTED == "python" else cpython.problem()
    if not problem:
        try:
            from . import functions, records, shared, types

            return {**vars(counters), **vars(shared), **vars(types), **vars(functions), **vars(records)}, "compiled"
        except (CacheError, OSError) as error:  # machine code could not be made or stored
            lines = str(error).strip().splitlines()
            problem = "it cannot be loaded: " + " ".join(dict.fromkeys([lines[0], lines[-1]]))
    if WANTED == "compiled":
        raise ImportError(f"DYNET_RECORDER=compiled was asked for, but {problem}")
    from . import python_recorder, python_records

    if WANTED != "python":
        print(f"dynet: operations are recorded in Python, which is slower: {problem}.", file=sys.stderr)
    return {**vars(python_records), **vars(python_recorder)}, f"python: {problem}"


_names, DESCRIPTION = _choose()
globals().update({name: _names[name] for name in __all__ if name in _names})
HAS_TEMPLATES: bool = DESCRIPTION == "compiled"
FUNCTION_TYPE: type = type(commit)  # the type of recording functions: `commit` is one
