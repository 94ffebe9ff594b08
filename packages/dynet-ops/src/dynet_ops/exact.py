"""Compute formulas and their derivatives to 400 digits, to check the results of kernels. Needs the library mpmath."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import mpmath
import numpy as np

from dynet_kernels.formula import Formula, in_postorder

DIGITS = 400
LARGEST_FINITE = mpmath.mpf(10) ** 1000  # larger values count as infinite
RELATIVE_STEP = mpmath.mpf(10) ** -180  # of difference quotients, times the operand; 220 digits of a difference remain

Value = mpmath.mpf | bool
EXACT_FUNCTIONS: dict[str, Callable] = {
    "where": lambda condition, a, b: a if condition else b,
    "logistic": lambda x: 1 / (1 + mpmath.exp(-x)),
    "over_root": lambda x, y, c: x / (mpmath.sqrt(y) + c),
    "round": lambda x: mpmath.sign(x) * mpmath.floor(abs(x) + 0.5),
    "lgamma": lambda x: mpmath.log(abs(mpmath.gamma(x))) if x < 0 else mpmath.loggamma(x),
}
"""Name of a function in formulas -> its exact version. Others, such as "add", have the same name in mpmath or numpy."""


def value(formula: Formula, numbers: Mapping[str, float | mpmath.mpf]) -> mpmath.mpf:
    """Return the value of a formula, NaN if it is undefined; `numbers` maps names of inputs to their values."""
    values: dict[int, Value] = {}
    with mpmath.workdps(DIGITS):
        for key, symbol in in_postorder(formula.result).items():
            if symbol.function == "input":
                values[key] = mpmath.mpf(numbers[symbol.arguments[0]])
            elif symbol.function == "constant":
                values[key] = mpmath.mpf(float(np.float32(symbol.arguments[0])))
            else:
                values[key] = _apply(symbol.function, [values[id(argument)] for argument in symbol.arguments])
    return values[id(formula.result)]


def _apply(function: str, arguments: Sequence[Value]) -> Value:
    if function != "where" and any(mpmath.isnan(argument) for argument in arguments):
        return mpmath.nan
    try:
        result = (EXACT_FUNCTIONS.get(function) or getattr(mpmath, function, None) or getattr(np, function))(*arguments)
    except (ZeroDivisionError, ValueError, OverflowError):
        return mpmath.nan
    if isinstance(result, mpmath.mpc):
        return mpmath.nan
    return mpmath.sign(result) * mpmath.inf if abs(result) > LARGEST_FINITE else result


def slopes(formula: Formula, numbers: Mapping[str, float], name: str) -> list[mpmath.mpf]:
    """Return the derivatives with respect to the input `name` from below and from above, where they exist.

    An infinite derivative, as at a jump, is returned as a number whose magnitude no float32 reaches.
    """
    with mpmath.workdps(DIGITS):
        x, center = numbers[name], value(formula, numbers)
        step = RELATIVE_STEP * (abs(mpmath.mpf(x)) or 1)
        quotients = [(value(formula, {**numbers, name: x + move}) - center) / move for move in (-step, step)]
    return [slope for slope in quotients if mpmath.isfinite(slope)]
