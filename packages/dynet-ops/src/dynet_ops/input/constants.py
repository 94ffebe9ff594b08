"""Tensors whose elements are all the same number."""

from __future__ import annotations

from ..declare import *
from .arrays import input_op, one_number

_CALLS = "dim=1; dim=(17,); dim=(5,3) batch_size=2; dim=[2,1,4] batch_size=3"


def _of_one(given: str, val: float = 0.0) -> Callable[[Function], Function]:
    """Return a decorator that makes an op of a function which returns a tensor of `val`."""
    return input_op(
        lambda dim, batch_size=1, val=val: np.full((*np.atleast_1d(dim), batch_size), val), given, repeats=True
    )


@_of_one(_CALLS)
def zeros(dim: Dims, batch_size: Index = 1) -> Expression:
    """A tensor of zeros with the dimensions `dim` and the batch size `batch_size`.

    >>> zeros((2,)).value()
    [0.0, 0.0]
    """
    return _constant("zeros", dim, 0.0, batch_size)


@_of_one(_CALLS, 1.0)
def ones(dim: Dims, batch_size: Index = 1) -> Expression:
    """A tensor of ones with the dimensions `dim` and the batch size `batch_size`.

    >>> ones((2,)).value()
    [1.0, 1.0]
    """
    return _constant("ones", dim, 1.0, batch_size)


@_of_one("dim=1 val=2.5; dim=(17,) val=-3; dim=(5,3) val=0 batch_size=2; dim=[2,1,4] val=0.5 batch_size=3")
def constant(dim: Dims, val: Number, batch_size: Index = 1) -> Expression:
    """A tensor with the dimensions `dim` and the batch size `batch_size`, whose elements are all `val`.

    >>> constant((2,), 3).value()
    [3.0, 3.0]
    """
    return _constant("constant", dim, val, batch_size)


KERNELS.add("constant", Rule(("y", "c"), {"y": lambda c: c}, numbers=("c",)))


@functools.cache
def _constant_signature(name: str, dim: Dim) -> Signature:
    return computed("constant", dim, (dim.total,), [View(SELF), *number_views(1)], name=name)


def _constant(name: str, dim: Dims, val: Numbers, batch_size: Index) -> Expression:
    """Add a tensor to the graph. Only the number is stored among the input values; a kernel fills the tensor."""
    whole, value = Dim.of(checked_dims(name, dim), checked_batch(name, batch_size)), one_number(name, val)
    graph = pinned()
    return graph.append(_constant_signature(name, whole), [graph.take_array(value)])


zeroes = zeros
__all__ = ["constant", "ones", "zeroes", "zeros"]
