"""What functions of numpy and ops are called in formulas (see `formula`), for operators and for error messages."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

OPERATORS: dict[str, Callable[..., Any]] = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv,
    "power": operator.pow, "negative": operator.neg, "absolute": operator.abs, "less": operator.lt,
    "less_equal": operator.le, "greater": operator.gt, "greater_equal": operator.ge, "equal": operator.eq,
    "not_equal": operator.ne, "square": lambda x: x * x, "reciprocal": lambda x: 1 / x, "positive": lambda x: x,
}  # fmt: skip
"""Name of a function of numpy that symbols can compute by operators -> a function that does it."""

OTHER_NAMES = {
    "fabs": "absolute", "abs": "absolute", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arcsinh": "asinh",
    "arccosh": "acosh", "arctanh": "atanh", "rint": "round", "fmax": "maximum", "fmin": "minimum", "amax": "max",
    "amin": "min", "clip": "minimum", "add.reduce": "sum", "maximum.reduce": "max", "minimum.reduce": "min",
    "bmax": "maximum", "bmin": "minimum", "max_dim": "max", "min_dim": "min", "sum_elems": "sum", "pow": "power",
}  # fmt: skip
"""Name of a function of numpy or of an op -> the function of formulas to use, where it is called otherwise."""
