"""The recorder makes the type `Expression`, and appends records to a thread's graph.

There are two recorders with the same interface. The compiled recorder, machine code from TVM, is in `functions`,
`records`, `shared` and `types`. The Python recorder, `python_recorder`, is used if `DYNET_RECORDER=python` is set, if
this Python's objects do not have the expected memory layout, or if the machine code cannot be built or loaded. Both
store a graph in the words that `graph_records` reads. Both have:

- `expression_type(operations)`: make the type `Expression` with the methods of the class `operations`.
- `Records`: the records of one thread's graph. `Records.adopt` makes the calling thread append to them.
- `commit`: append a record. `sequence`: append a record that has a list of operands. `commit_with_inputs`: append a
  record that refers to input values, unless a pass has already read them.
- `take`: append numbers to the input buffer. `take_keyed`: append a new random key, and then numbers.
- `handle(at, dim)`: return an expression for node number `at`.
- `noise`, `set_noise`, `draw`: read, set and advance the source of random keys.
- `function(kind, slow)`: return a recording function. `describe` gives it the name and parameters of a Python function.
- `with_templates(op, learn)`: return a function that uses a template if it has one for the call. `key` returns the key
  of a call's template. `replay` appends the records of a template that the caller has kept.
- `operator(name, pair, right, left)`: set an operator of `Expression`.
- `know(**objects)`: tell the recorder about special objects, such as the classes of parameters; see `shared.know`.
- `become(x, at, dim)`: make `x` a parameter.
- `generation`: return a number that changes whenever signatures or parameters change. `next_generation`: change it, so
  that the next pass of each graph starts from Python.
- `note_pass`, `passes`: count backward passes.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from dynet_kernels.cache.store import CacheError
from dynet_kernels.recorder.words import ANY_GRAPH, NO_NODE

from . import cpython
from .named_words import draw, generation, next_generation, noise, note_pass, passes, set_noise

if TYPE_CHECKING:
    from .functions import describe, function, operator, with_templates
    from .records import Records, commit, commit_with_inputs, handle, key, replay, sequence, take, take_keyed
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
    """Return the definitions of the recorder to use, by name, and a string that says which recorder it is and why."""
    if WANTED not in ("", "compiled", "python"):
        raise ImportError(f"DYNET_RECORDER is {WANTED!r}: use 'compiled' or 'python', or leave it unset")
    problem = "DYNET_RECORDER=python" if WANTED == "python" else cpython.problem()
    if not problem:
        try:
            from . import functions, records, shared, types

            return vars(shared) | vars(types) | vars(functions) | vars(records), "compiled"
        except (CacheError, OSError) as error:  # machine code could not be built or stored
            lines = str(error).strip().splitlines()
            problem = "it cannot be loaded: " + " ".join(dict.fromkeys([lines[0], lines[-1]]))
    if WANTED == "compiled":
        raise ImportError(f"DYNET_RECORDER=compiled was asked for, but {problem}")
    from . import python_recorder, python_records

    if WANTED != "python":
        print(f"dynet: operations are recorded in Python, which is slower: {problem}.", file=sys.stderr)
    return vars(python_records) | vars(python_recorder), f"python: {problem}"


_names, DESCRIPTION = _choose()
globals().update({name: _names[name] for name in __all__ if name in _names})
HAS_TEMPLATES: bool = DESCRIPTION == "compiled"
FUNCTION_TYPE: type = type(commit)  # the type of recording functions such as `commit`
