"""The names that every file of ops imports, by `from ..declare import *`.

These decorators declare an op; most take `samples`, calls to test:

- `elementwise`, `columnwise`: from a formula, which may use functions of the module `f` (`dynet_kernels.formula`).
- `by_dims`: from a function that returns the `Signature` for the operands' Dims.
- `recorded`: from a function that appends nodes itself.
"""

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from dynet_core.annotations import Dims, Index, Indices, Number, Numbers
from dynet_core.checks import checked_flag, checked_index, checked_indices, real_array, whole
from dynet_core.dim import Dim, checked_batch, checked_dims
from dynet_core.errors import ArgumentError, ArgumentTypeError, OutOfRangeError, ShapeError
from dynet_core.graph.expression import Expression
from dynet_core.graph.record import (
    PinnedGraph,
    common_batch,
    described,
    graph_of,
    listed,
    many_operands,
    node,
    one_operand,
    pinned,
    two_operands,
)
from dynet_core.messages.hints import also_called
from dynet_core.op import Function, Sample, recorded, register, remember, samples
from dynet_core.recorder import describe, function
from dynet_core.signature import Signature, Step, View, alias, computed, copy_step, number_views
from dynet_core.signature.by_sizes import by_plain_dims, by_sizes
from dynet_kernels import formula as f
from dynet_kernels.families.rules import Rule
from dynet_kernels.formula import Formula, Symbol
from dynet_kernels.layout import ANY_OPERAND, EACH, SELF
from dynet_kernels.table import KERNELS

from .copying import *
from .kinds import ONE, TWO, add_rules, by_dims, columnwise, derive_rules, elementwise, op
from .layouts import *
from .operands import *

__all__ = [
    "ANY_OPERAND", "Any", "ArgumentError", "ArgumentTypeError", "Callable", "Dim", "Dims", "EACH", "Expression",
    "Formula", "Function", "Index", "Indices", "Iterable", "KERNELS", "Loop", "Number", "Numbers", "ONE",
    "OutOfRangeError", "PinnedGraph", "Rule", "SELF", "Sample", "Sequence", "ShapeError", "Signature", "Step",
    "Symbol", "TWO", "View", "add_rules", "alias", "by_sizes", "also_called", "as_first", "as_last", "batch_stride",
    "broadcast", "broadcasting", "by_batch_elements", "by_dims", "by_plain_dims", "checked_batch", "checked_count",
    "checked_dims", "checked_flag", "checked_index", "checked_indices", "checked_pair", "checked_size", "collapsed",
    "column_views", "columnwise", "common_batch", "computed", "copies", "copies_by_index", "copy_of",
    "copy_parameters", "copy_step", "derive_rules", "describe", "described", "elementwise", "f", "finite",
    "for_each_index", "function", "functools", "graph_of", "is_list", "is_matrix", "listed", "many_operands",
    "matched", "math", "nesting", "node", "np", "number_views", "of_rank", "one_operand", "op", "pinned",
    "real_array", "recorded", "register", "remember", "repeat", "repeat_loops", "samples", "shape_along",
    "shape_of", "shortest", "sizes_and_batch", "strides_of", "two_operands", "whole", "with_rank",
]  # fmt: skip
