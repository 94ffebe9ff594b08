"""Plain functions: functions in a subset of Python that run in two ways, compiled by TVM and as they are.

The planner, the recorder and what is scalar in the tape machine are such functions. docs/internals.md has the subset.

    rewriting     `@plain`, which rewrites a function's syntax tree
    lowering      what the statements become: TIR, TVM's intermediate code
    memory        integers and structures in memory
"""

from __future__ import annotations

from .lowering import is_emitting, leave
from .memory import Rows, Struct, Words, bits_of, on_stack, popcount
from .rewriting import entry, plain

__all__ = [
    "Rows", "Struct", "Words", "bits_of", "entry", "is_emitting", "leave", "on_stack", "plain", "popcount",
]  # fmt: skip
