"""The recorder makes the type `Expression`, and appends records to a thread's graph.

There are two recorders with the same interface. The compiled recorder, machine code from TVM, is in `functions`,
`records`, `shared` and `types`. The Python recorder, `python_recorder`, is used if `DYNET_RECORDER=python` is set, if
this Python's objects do not have the expected memory layout, or if the machine code cannot be built or loaded. Both
store a graph in the words that `graph_records` reads. Both define:

- `expression_type(operations)`: make the type `Expression` with the methods of the class `operations`.
- `Records`: the records of one thread's graph. `Records.adopt` makes the calling thread append to them.
- `commit`: append a record. `add_list`: append a record for a list of operands, and return an expression for
  each operand. `commit_with_inputs`: append a record that refers to input values, unless a pass has already read them.
- `take`: append numbers to the input buffer. `take_keyed`: append a new random key, and then numbers.
- `node_at(at, dim)`: return an expression for node number `at`.
- `random_state`, `set_random_state`: read and set the seed and the count of random keys. `draw_key`: draw a key.
- `function(kind, slow)`: return a recording function. `describe` gives it the name and parameters of a Python function.
- `with_templates(op, make_observer)`: return a function that uses a template if it has one for the call.
  `call_key` returns the key of a call. `replay` appends the records of a template that the caller has kept.
- `call_function(slow, documented)`: return a recording function that repeats calls of a user's function, as
  `set_pinned`, `enter_call`, `clear_rows`, `keep_with` and `pinned_key` say; see `graph/functions.py`.
- `set_operator(name, pair, right, left)`: set an operator of `Expression`.
- `share_objects(**objects)`: tell the recorder about objects that it must know, such as the classes of parameters.
- `make_parameter(x, at, dim)`: make the expression `x` stand for a parameter.
- `generation`: return a number that changes whenever signatures or parameters change. `next_generation`: change it, so
  that the next pass of each graph starts from Python.
- `note_pass`, `pass_count`: count backward passes.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from dynet_kernels.cache.store import CacheError
from dynet_kernels.recorder.words import ANY_GRAPH, NO_NODE

from . import cpython
from .named_words import draw_key, generation, next_generation, note_pass, pass_count, random_state, set_random_state

if TYPE_CHECKING:
    from .functions import (
        call_function,
        clear_rows,
        describe,
        enter_call,
        forget_rows,
        function,
        keep_with,
        rows_of,
        set_operator,
        set_pinned,
        with_templates,
    )
    from .records import (
        Records,
        add_list,
        call_key,
        commit,
        commit_with_inputs,
        node_at,
        pinned_key,
        replay,
        take,
        take_keyed,
    )
    from .shared import share_objects
    from .types import expression_type, make_parameter

__all__ = [
    "ANY_GRAPH", "DESCRIPTION", "FUNCTION_TYPE", "HAS_TEMPLATES", "NO_NODE", "Records", "add_list", "call_function",
    "call_key", "clear_rows", "commit", "commit_with_inputs", "describe", "draw_key", "enter_call", "expression_type",
    "forget_rows", "function", "generation", "keep_with", "make_parameter", "next_generation", "node_at", "note_pass",
    "pass_count", "pinned_key", "random_state", "replay", "rows_of", "set_operator", "set_pinned", "set_random_state",
    "share_objects", "take", "take_keyed", "with_templates",
]  # fmt: skip
WANTED_RECORDER = os.environ.get("DYNET_RECORDER", "")


def _choose_recorder():
    """Return the definitions of the recorder to use, by name, and a string that says which recorder it is and why."""
    if WANTED_RECORDER not in ("", "compiled", "python"):
        raise ImportError(f"DYNET_RECORDER is {WANTED_RECORDER!r}: use 'compiled' or 'python', or leave it unset")
    problem = "DYNET_RECORDER=python" if WANTED_RECORDER == "python" else cpython.problem()
    if not problem:
        try:
            from . import functions, records, shared, types

            return vars(shared) | vars(types) | vars(functions) | vars(records), "compiled"
        except (CacheError, OSError) as error:  # machine code could not be built or stored
            lines = str(error).strip().splitlines()
            problem = "it cannot be loaded: " + " ".join(dict.fromkeys([lines[0], lines[-1]]))
    if WANTED_RECORDER == "compiled":
        raise ImportError(f"DYNET_RECORDER=compiled was asked for, but {problem}")
    from . import python_recorder, python_records

    if WANTED_RECORDER != "python":
        print(f"dynet: operations are recorded in Python, which is slower: {problem}.", file=sys.stderr)
    return vars(python_records) | vars(python_recorder), f"python: {problem}"


_definitions, DESCRIPTION = _choose_recorder()
globals().update({name: _definitions[name] for name in __all__ if name in _definitions})  # makes them importable
HAS_TEMPLATES: bool = DESCRIPTION == "compiled"
FUNCTION_TYPE: type = type(commit)  # the type of recording functions such as `commit`
