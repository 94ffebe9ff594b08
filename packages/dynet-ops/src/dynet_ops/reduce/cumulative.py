"""Running sums along a dimension: `cumsum`."""

from __future__ import annotations

import functools

import numpy as np

from dynet_core.annotations import Index
from dynet_core.checks import checked_index
from dynet_core.dim import Dim
from dynet_core.expression import Expression
from dynet_core.op import recorded, samples
from dynet_core.record import append, graph_of
from dynet_core.signature import Signature, Step, View
from dynet_kernels.families.scan import Scan
from dynet_kernels.layout import SELF
from dynet_kernels.table import KERNELS

from ..axes import before_along_after
from ..operands import checked_dimension, checked_expression

KERNELS.add("cumsum", Scan(backward=False))
KERNELS.add("cumsum.dx", Scan(backward=True))


@functools.cache
def _signature(dim: Dim, d: int) -> Signature:
    before, size, after = before_along_after(dim, d)
    return Signature(
        dim,
        name="cumsum",
        operands=1,
        columns=after,
        views=[View(SELF, stride=before * size), View(0, stride=before * size)],
        forward=[Step("cumsum", (0, 2, size, before))],
        backward=[Step("cumsum.dx", (3, 1, size, before), gradient_of=0)],
    )


@recorded(
    reference=lambda x, d=0: np.cumsum(x, axis=d) if d < x.ndim else x,
    samples=samples("1; 37*3; 3x4*2 d=1; 19x5 d=1; 2x3x4*2 d=1; 2x3*4 d=0; 3*2 d=1; 2x1x3*2 d=3"),
)
def cumsum(x: Expression, d: Index = 0) -> Expression:
    """The running sums along dimension d, y_i = sum over j <= i of x_j. The result has the shape of x.

    If x has n dimensions, d may be from 0 to n. With d = n, x counts as having one more dimension, of size 1, and the
    result is x itself.

    >>> cumsum(inputVector([1, 2, 3])).value()
    [1.0, 3.0, 6.0]
    """
    dim = checked_expression("cumsum", x).type.plain
    d = checked_index("cumsum", d)
    if d == len(dim.dims):
        return x
    return append(graph_of("cumsum", (x,)), _signature(dim, checked_dimension("cumsum", d, dim)), [x.at])


__all__ = ["cumsum"]
