"""Dropout of single elements, of whole expressions, along a dimension, or of whole batch elements."""

from __future__ import annotations

from ..declare import *
from ..elementwise.arithmetic import cmult
from .draws import checked_probability, random_bernoulli, random_node


def _dropping(name: str, position: Symbol) -> Callable[..., Expression]:
    """Return a function of [x], p and 1 / (1 - p) that adds a dropout node to the graph.

    With `formula.position`, each element is dropped or not by itself; with `formula.origin`, all are or none is.
    """
    return random_node(
        name, lambda x, seed, count, p, scale: f.where(f.uniform(seed, count, position) < p, 0, x * scale)
    )


_dropout = _dropping("dropout", f.position)
_block_dropout = _dropping("block_dropout", f.origin)


_ALL: dict[str, Any] = {
    "reference": lambda x, p: x,
    "random": True,
    "samples": samples("5 p=0.0; 17*4 p=0.0; 1*2 p=0.0; 3x4*3 p=0.0"),
}


@recorded(**_ALL)
def dropout(x: Expression, p: Number) -> Expression:
    """Set each element to zero with probability p, independently; scale the others by 1 / (1 - p). 0 <= p < 1.

    Use it in training only.

    Source: Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout", 2014.

    >>> dropout(inputVector([1, 2]), 0.0).value()
    [1.0, 2.0]
    """
    p = checked_probability("dropout", p)
    return _dropout([x], p, 1 / (1 - p))


@recorded(**_ALL)
def block_dropout(x: Expression, p: Number) -> Expression:
    """Set all of x, with its whole batch, to zero with probability p; otherwise scale it by 1 / (1 - p).

    >>> block_dropout(inputVector([1, 2]), 0.0).value()
    [1.0, 2.0]
    """
    p = checked_probability("block_dropout", p)
    return _block_dropout([x], p, 1 / (1 - p))


@recorded(
    reference=lambda x, d, p: x,
    random=True,
    samples="5 d=0 p=0.0; 17*4 d=0 p=0.0; 1*2 d=0 p=0.0; 3x4*3 d=1 p=0.0; 2x3x4*2 d=1 p=0.0; 2x3x2x3 d=2 p=0.0",
)
def dropout_dim(x: Expression, d: Index, p: Number) -> Expression:
    """Dropout with one random decision for all elements along dimension d. With d = 0, it drops columns of a matrix.

    With probability p these elements become zero, otherwise they are scaled by 1 / (1 - p).

    Source: Gal and Ghahramani, "A Theoretically Grounded Application of Dropout in Recurrent Neural Networks", 2016.

    >>> dropout_dim(inputTensor([[1, 2], [3, 4]]), 0, 0.0).npvalue()
    array([[1., 2.],
           [3., 4.]])
    """
    dim, d = shape_along("dropout_dim", x, d)
    return _masked("dropout_dim", x, (*dim.dims[:d], 1, *dim.dims[d + 1 :]), dim.batch, p)


@recorded(**_ALL)
def dropout_batch(x: Expression, p: Number) -> Expression:
    """Set each batch element as a whole to zero with probability p; scale the others by 1 / (1 - p).

    >>> dropout_batch(inputVector([1, 2]), 0.0).value()
    [1.0, 2.0]
    """
    return _masked("dropout_batch", x, (1,), shape_of("dropout_batch", x).batch, p)


def _masked(name: str, x: Expression, dims: tuple[int, ...], batch: int, p: Number) -> Expression:
    """Multiply x by a broadcast mask of the shape (dims, batch): 0 with probability p, else 1 / (1 - p)."""
    p = checked_probability(name, p)
    return cmult(x, random_bernoulli(dims, 1 - p, 1 / (1 - p), batch))


__all__ = ["block_dropout", "dropout", "dropout_batch", "dropout_dim"]
