"""Plain functions, written in a subset of Python (docs/internals.md): TVM can compile them, and Python can run them.

The planner, the recorder and the scalar parts of the tape machine consist of such functions.
"""

from __future__ import annotations

from .lowering import is_emitting, leave
from .memory import Rows, Struct, Words, bits_of, on_stack, popcount
from .rewriting import entry, plain

__all__ = [
    "Rows", "Struct", "Words", "bits_of", "entry", "is_emitting", "leave", "on_stack", "plain", "popcount",
]  # fmt: skip
