"""Plain functions: functions in a subset of Python (docs/internals.md) that run compiled by TVM, and as they are.

The planner, the recorder and what is scalar in the tape machine are such functions.
"""

from __future__ import annotations

from .lowering import is_emitting, leave
from .memory import Rows, Struct, Words, bits_of, on_stack, popcount
from .rewriting import entry, plain

__all__ = [
    "Rows", "Struct", "Words", "bits_of", "entry", "is_emitting", "leave", "on_stack", "plain", "popcount",
]  # fmt: skip
