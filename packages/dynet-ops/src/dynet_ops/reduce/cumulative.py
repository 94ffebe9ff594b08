"""Running sums along a dimension: `cumsum`."""

from __future__ import annotations

from dynet_kernels.families.scan import Scan

from ..axes import before_along_after
from ..declare import *

KERNELS.add("cumsum", Scan(backward=False))
KERNELS.add("cumsum.dx", Scan(backward=True))


@functools.cache
def _signature(dim: Dim, d: int) -> Signature:
    before, size, after = before_along_after(dim, d)
    return Signature(
        dim,
        columns=after,
        views=[View(SELF, stride=before * size), View(0, stride=before * size)],
        forward=[Step("cumsum", (0, 2, size, before))],
        backward=[Step("cumsum.dx", (3, 1, size, before), gradient_of=0)],
    )


@recorded(
    reference=lambda x, d=0: np.cumsum(x, axis=d) if d < x.ndim else x,
    samples="1; 37*3; 3x4*2 d=1; 19x5 d=1; 2x3x4*2 d=1; 2x3*4 d=0; 3*2 d=1; 2x1x3*2 d=3",
)
def cumsum(x: Expression, d: Index = 0) -> Expression:
    """The running sums along dimension d, y_i = sum over j <= i of x_j. The result has the shape of x.

    If x has n dimensions, d may be from 0 to n. With d = n, x counts as having one more dimension, of size 1, and the
    result is x itself.

    >>> cumsum(inputVector([1, 2, 3])).value()
    [1.0, 3.0, 6.0]
    """
    dim = shape_of("cumsum", x)
    d = checked_index("cumsum", d)
    if d == len(dim.dims):
        return x
    return node("cumsum", _signature(*shape_along("cumsum", x, d)), (x,))


__all__ = ["cumsum"]
