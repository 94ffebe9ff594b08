"""The recorder made of machine code: an extension type of CPython, and functions that it calls as C functions."""

from .functions import FunctionType, describe, function, negative, operator, subscript, with_templates
from .records import (
    Records,
    commit,
    generation,
    handle,
    key,
    next_generation,
    note_pass,
    passes,
    sequence,
    take,
)  # fmt: skip
from .types import become, expression_type, know_parameters

__all__ = [
    "FunctionType", "Records", "become", "commit", "describe", "expression_type", "function", "generation", "handle",
    "key", "know_parameters", "negative", "next_generation", "note_pass", "operator", "passes", "sequence", "subscript",
    "take", "with_templates",
]  # fmt: skip
