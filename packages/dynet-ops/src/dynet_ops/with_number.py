"""Ops of one expression and a plain number."""

from __future__ import annotations

import functools
from collections.abc import Callable
from numbers import Real

import numpy as np

from dynet_core.errors import ArgumentError, ArgumentTypeError
from dynet_core.expression import Expression
from dynet_core.record import graph_of
from dynet_core.signature import Signature, Step, View, constant
from dynet_kernels.kernels import KERNELS
from dynet_kernels.layout import SELF
from dynet_kernels.rule import Rule

LARGEST = 3.4028234663852886e38  # of all float32


def with_number(name: str, operator: str, forward: Callable, gradient: Callable) -> Callable[..., Expression]:
    """The recording function of an op of an expression and a number, a value of the graph and not of the signature.

    Args:
        operator: what errors call the op.
        forward: the result, as a formula of the operand x and the number c.
        gradient: that of x, of x, c, the result y and its gradient dy.
    """
    views = ("y", "x", "c")
    KERNELS.add(name, Rule(views, {"y": forward}, numbers=("c",)))
    KERNELS.add(f"{name}.dx", Rule(views, {"dx": gradient}, numbers=("c",)))
    known = {}

    @functools.cache
    def signature_of(dim):
        return Signature(
            dim,
            operands=1,
            attributes=1,
            constants=1,
            views=[View(SELF), View(0), constant(0)],
            forward=[Step(name, (dim.total,))],
            backward=[Step(f"{name}.dx", (dim.total,), gradient_of=0)],
        )

    def record(x: Expression, c: float) -> Expression:
        try:
            signature, dim = known[x.type]
            graph = x.graph
            node = graph.next
            graph.next = node.next
            node.type = dim
        except (AttributeError, KeyError):
            graph = graph_of(operator, (x,))
            if x.type not in known:
                new = signature_of(x.type.plain)
                known[x.type] = new.at, new.dim
            signature, dim = known[x.type]
            node = graph.new_node(dim)
        nodes, inputs = graph.nodes, graph.inputs
        place = len(inputs)
        inputs.append(c)  # first: a graph that computes at once does so when its record is complete
        nodes.append(signature)
        nodes.append(x.at)
        nodes.append(place)
        return node

    return record


def number_on_the_right(name: str, record: Callable) -> Callable:
    """Records an expression and a number of any type; anything else is refused."""

    def checked(x: Expression, value) -> Expression:
        return record(x, value if value.__class__ is float else number_of(name, value))

    return checked


def number_of(name: str, value) -> float:
    """A plain number that a user gave in the place of an expression."""
    number = _plain(name, value)
    if number is None:
        raise ArgumentTypeError(f"{name}: expected an Expression or a number, got {_shown(value)}")
    return number


def finite(name: str, argument: str, value) -> float:
    """A finite number that a user gave as an argument of an op."""
    number = None if isinstance(value, (bool, np.bool_)) else _plain(f"{name}: {argument}", value)
    if number is None:
        raise ArgumentTypeError(f"{name}: {argument} must be a number, got {_shown(value)}")
    if not abs(number) <= LARGEST:
        raise ArgumentError(f"{name}: {argument} must be a finite float32, got {number}")
    return number


def _plain(name: str, value) -> float | None:
    if value.__class__ is np.ndarray and value.size == 1 and value.dtype.kind in "fiub":
        value = value.item()
    if value.__class__ is not int and not isinstance(value, (Real, np.floating, np.integer, np.bool_)):
        return None
    try:
        return float(value)
    except OverflowError:
        raise ArgumentError(f"{name}: the number {value!r:.40} is too large") from None


def _shown(value) -> str:
    return f"{type(value).__name__} {value!r:.60}"
