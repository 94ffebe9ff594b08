"""The compiled recorder: extension types of CPython for expressions and recording functions.

Their methods are machine code made by TVM, which CPython calls like functions written in C.
"""

from .counters import generation, next_generation, noise, note_pass, passes, set_noise
from .functions import FunctionType, describe, function, negative, operator, subscript, with_templates
from .records import (
    Records,
    commit,
    commit_with_inputs,
    draw,
    handle,
    sequence,
    take,
    take_keyed,
)  # fmt: skip
from .templates import key, replay
from .types import become, expression_type, know_parameters, know_unfinished

__all__ = [
    "FunctionType", "Records", "become", "commit", "commit_with_inputs",
    "describe", "draw", "expression_type", "function", "generation", "handle", "key", "know_parameters",
    "know_unfinished", "negative", "next_generation", "noise", "note_pass", "operator", "passes",
    "replay", "sequence", "set_noise", "subscript", "take", "take_keyed", "with_templates",
]  # fmt: skip
