"""The largest and the smallest of several expressions, element by element."""

from __future__ import annotations

from ..declare import *
from ..layouts import Rank, longest


@elementwise(reference=np.minimum)
def bmin(x: Expression, y: Expression) -> Expression:
    """The smaller of two expressions, element by element; dimensions of size 1 are broadcast.

    Where both are equal, y gets the gradient. NaN in either gives NaN.

    >>> bmin(inputVector([1, 4]), inputVector([3, 2])).value()
    [1.0, 2.0]
    """
    return f.minimum(x, y)


@elementwise(reference=np.maximum)
def bmax(x: Expression, y: Expression) -> Expression:
    """The larger of two expressions, element by element; dimensions of size 1 are broadcast.

    Where both are equal, y gets the gradient. NaN in either gives NaN.

    >>> bmax(inputVector([1, 4]), inputVector([3, 2])).value()
    [3.0, 4.0]
    """
    return f.maximum(x, y)


@elementwise(reference=np.maximum)
def larger(x: Expression, y: Expression) -> Expression:
    """Like `bmax`, but x gets the gradient where both are equal."""
    return f.maximum(y, x)  # if both are equal, `f.maximum` gives the gradient to its second argument


def checked_together(name: str, xs: Iterable[Expression], rank: Rank = longest) -> tuple[Sequence[Expression], Dim]:
    """Return the operands of an op that takes a list, and the shape to which they are broadcast."""
    found = listed(name, xs)
    graph_of(name, found)
    return found, broadcast(name, list(dict.fromkeys(x.type.plain for x in found)), rank)


SEVERAL = samples(
    "[3x2 3*2]; [3]; [17*2 17*2 17*2]; [5x3 5x3*4]; [1 1 1 1 1 1 1 1 1]; [4*3 4 1]; [37 37 37 37]; [1x4*2 3x1]; "
    "[5 5x1x1*2 5x1]; [5x1*2]"
)


folded = functools.reduce  # (pair, arrays) -> pair(pair(a, b), c) for arrays a, b, c, and so on


@recorded(reference=lined_up(lambda *xs: folded(np.maximum, xs), longest), samples=SEVERAL)
def emax(xs: Iterable[Expression]) -> Expression:
    """The largest of any number of expressions, element by element; shapes are broadcast.

    If several expressions have the largest element at a place, the first of them gets the gradient.

    >>> emax([inputVector([1, 4]), inputVector([3, 2]), inputVector([2, 3])]).value()
    [3.0, 4.0]
    """
    xs, _ = checked_together("emax", xs)
    while len(xs) > 1:  # combining them in pairs makes the graph as deep as the logarithm of the number of operands
        paired = [larger(x, y) for x, y in zip(xs[::2], xs[1::2])]
        xs = [*paired, *xs[len(paired) * 2 :]]
    return xs[0]


__all__ = ["bmax", "bmin", "emax"]
