"""All C functions of the recorder. Each module here declares its own when it is imported."""

from __future__ import annotations

from . import arrays, calls, inputs, memory, operations, passes, records, setting, sparse, tables, templates, types
from .extension import FUNCTIONS

__all__ = [
    "FUNCTIONS", "arrays", "calls", "inputs", "memory", "operations", "passes", "records", "setting", "sparse",
    "tables", "templates", "types",
]  # fmt: skip
