"""Ops that draw random numbers while they run: the same for a seed, whatever runs beside them."""

from __future__ import annotations

import functools
from numbers import Real

import numpy as np

from dynet_core import noise
from dynet_core.dim import Dim
from dynet_core.errors import ArgumentError, ArgumentTypeError
from dynet_core.expression import Expression
from dynet_core.op import Sample, register
from dynet_core.record import append, graph_of
from dynet_core.signature import Signature, Step, View, constant
from dynet_kernels import formula as f
from dynet_kernels.kernels import KERNELS
from dynet_kernels.layout import SELF
from dynet_kernels.rule import Rule

_VIEWS, _NUMBERS = ("y", "x", "seed", "count", "p", "scale"), ("seed", "count", "p", "scale")


def _kept(value, seed, count, p, scale):
    return f.where(f.uniform(seed, count, f.position) < p, 0, value * scale)


KERNELS.add(
    "dropout",
    Rule(_VIEWS, {"y": lambda x, seed, count, p, scale: _kept(x, seed, count, p, scale)}, numbers=_NUMBERS),
)
KERNELS.add(
    "dropout.dx",
    Rule(_VIEWS, {"dx": lambda dy, seed, count, p, scale: _kept(dy, seed, count, p, scale)}, numbers=_NUMBERS),
)


@functools.cache
def _dropout_signature(dim: Dim) -> Signature:
    return Signature(
        dim,
        operands=1,
        attributes=4,
        constants=4,
        views=[View(SELF), View(0), *map(constant, range(4))],
        forward=[Step("dropout", (dim.total,))],
        backward=[Step("dropout.dx", (dim.total,), gradient_of=0)],
    )


def checked_probability(name: str, p: float) -> float:
    """A probability of dropping a value, in [0, 1)."""
    if not isinstance(p, (Real, np.floating, np.integer)):
        raise ArgumentTypeError(f"{name}: p must be a number, not {p!r:.40}")
    number = float(p)
    if not 0 <= number < 1:
        raise ArgumentError(f"{name}: p must be in [0, 1), got {number}")
    return number


def dropout(x: Expression, p: float) -> Expression:
    """Each element is set to zero with probability p; the others are scaled by 1 / (1 - p).

    For training only: leave it out when the model is used.

    Source: Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout", 2014.

    >>> dropout(inputVector([1, 2]), 0.0).value()
    [1.0, 2.0]
    """
    p = checked_probability("dropout", p)
    graph = graph_of("dropout", (x,))
    start = noise.take_key(graph)
    graph.inputs.extend((p, 1 / (1 - p)))
    return append(graph, _dropout_signature(x.type.plain), [x.at, start, start + 1, start + 2, start + 3])


register(
    dropout,
    reference=lambda x, p: x,
    random=True,
    samples=[
        Sample([((5,), 1)], {"p": 0.0}),
        Sample([((17,), 4)], {"p": 0.0}),
        Sample([((1,), 2)], {"p": 0.0}),
        Sample([((3, 4), 1)], {"p": 0.0}),
    ],
)

__all__ = ["dropout"]
