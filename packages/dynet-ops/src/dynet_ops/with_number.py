"""Ops of one expression and one plain number, as in `x + 1`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from numbers import Real

import numpy as np

from dynet_core.checks import TOO_LARGE, single
from dynet_core.dim import Dim
from dynet_core.errors import ArgumentError, ArgumentTypeError, TooLargeError
from dynet_core.graph.expression import Expression
from dynet_core.graph.record import graph_of, made_of
from dynet_core.messages.wording import shown
from dynet_core.op import remember
from dynet_core.recorder import function
from dynet_core.signature import View, computed, number_views
from dynet_kernels.formula import LARGEST
from dynet_kernels.layout import SELF
from dynet_kernels.table import KERNELS

from .layouts import Rank, longest, of_rank
from .op_formulas import all_gradients, formula_of, rules_of


def with_number(name: str, operator: str, formula: Callable, rank: Rank = longest) -> Callable[..., Expression]:
    """Return a function of an expression and a plain number that adds a node of `formula`.

    The number is stored among the graph's inputs, so nodes with different numbers share a signature and can run as one
    batch. The kernels' names begin with `name`. Errors show `operator`, the op's name or a sign.
    """
    operand, number = names = tuple(inspect.signature(formula).parameters)
    parsed = formula_of(formula, names)
    gradients = all_gradients(name, (operand,), parsed, {}, number)
    kernels = KERNELS.add_defined(name, rules_of(names, parsed, gradients, numbers=(number,)))

    @functools.cache
    def signature_of(dim):
        whole = Dim.of(of_rank(dim.dims, rank((dim,))), dim.batch)
        return computed(kernels, whole, (dim.total,), [View(SELF), View(0), *number_views(1)])

    def unusual(x: Expression, c) -> Expression:
        graph = graph_of(operator, (x,))
        number = number_of(operator, c)
        signature = signature_of(x.type.plain)
        remember(record, (x.type,), signature)
        return graph.append(signature, (x.at, graph.take((number,))))

    record = function("number", unusual)
    return record


def number_of(name: str, value) -> float:
    """Return `value` as a float; raise ArgumentTypeError if it is not a number."""
    number = _plain(name, value)
    if number is None:
        raise ArgumentTypeError(f"{name}: expected an Expression or a number, got {_shown(value)}{made_of(value)}")
    return number


def finite(name: str, argument: str, value, above: float | None = None) -> float:
    """Return `value` as a float; raise an error unless it is finite as a float32 and, if `above` is given, greater."""
    number = _plain(f"{name}: {argument}", value)
    if number is None:
        raise ArgumentTypeError(f"{name}: {argument} must be a number, got {_shown(value)}")
    if not abs(number) <= LARGEST:
        raise ArgumentError(f"{name}: {argument} must be a finite float32, got {number}")
    if above is not None and np.float32(number) <= above:
        raise ArgumentError(f"{name}: {argument} must be above {above}, got {number}")
    return number


def _plain(name: str, value) -> float | None:
    if value.__class__ is np.ndarray:
        value = single(value)
    if value.__class__ is not int and not isinstance(value, (Real, np.floating, np.integer, np.bool_)):
        return None
    try:
        return float(value)
    except OverflowError:
        raise TooLargeError(f"{name}: {TOO_LARGE}") from None


def _shown(value) -> str:
    return f"{type(value).__name__} {shown(value)}"
