"""Circular convolution and correlation of vectors."""

from __future__ import annotations

from dynet_kernels.families.toeplitz import Toeplitz

from ..declare import *
from .products import gradient_of, value_of

KERNELS.add("toeplitz", Toeplitz())
_RESULT, _TWICE, _U, _V = range(4)


def _signature(name: str, dims, step: int) -> Signature:
    """Return the signature of z_k = sum over i of u_i v_((k + step i) mod d).

    In memory, two copies of v in a row follow z, so that kernels need no index mod d. The backward pass does the same
    with the gradient of z.
    """
    u, v = dims
    if u.dims != v.dims or u.columns != 1:
        raise ShapeError(f"{name}: expected two vectors of one length: operands are {described(dims)}")
    batch, size = common_batch(name, dims), u.size

    def twice(target: int, source: int, gradient: int = -1) -> Step:
        loops = [(size, 1, 1), (2, size, 0), (1, 1, 1), (1, 1, 1)]
        return Step("copy", copy_parameters(target, source, loops), gradient_of=gradient)

    def product(y: int, a: int, b: int, direction: int, gradient: int = -1) -> Step:
        return Step("toeplitz", (y, a, b, size, 0 if direction > 0 else size, direction), gradient_of=gradient)

    value, gradient = value_of(_TWICE), gradient_of(_TWICE)
    du, dv = gradient_of(_U), gradient_of(_V)
    if step < 0:
        backward = [product(du, value_of(_V), gradient, 1, 0), product(dv, value_of(_U), gradient, 1, 1)]
    else:
        backward = [product(du, gradient_of(_RESULT), value, 1, 0), product(dv, value_of(_U), gradient, -1, 1)]
    return Signature(
        Dim.of(u.dims, batch),
        size=3 * size * batch,
        columns=batch,
        views=[
            View(SELF, stride=size),
            View(SELF, offset=size * batch, stride=2 * size),
            *[View(k, stride=size if dim.batch > 1 else 0) for k, dim in enumerate(dims)],
        ],
        forward=[
            twice(value, value_of(_V)),
            Step("clear", (size,)),
            product(value_of(_RESULT), value_of(_U), value, step),
        ],
        backward=[twice(gradient, gradient_of(_RESULT), ANY_OPERAND), *backward],
    )


def _reference(step):
    def reference(u, v):
        k, i = np.indices((len(u), len(u)))
        return v[(k + step * i) % len(u)] @ u

    return reference


SAMPLES = samples("1 1; 7 7; 16*3 16; 37 37*2; 5*2 5*2; 307 307")


@by_dims(lambda *dims: _signature("circ_conv", dims, -1), reference=_reference(-1), samples=SAMPLES)
def circ_conv(u: Expression, v: Expression) -> Expression:
    """The circular convolution of two vectors of length d, z_k = sum over i of u_i v_((k - i) mod d).

    >>> circ_conv(inputVector([1, 2, 3]), inputVector([0, 1, 0])).value()
    [3.0, 1.0, 2.0]
    """
    ...


@by_dims(lambda *dims: _signature("circ_corr", dims, 1), reference=_reference(1), samples=SAMPLES)
def circ_corr(u: Expression, v: Expression) -> Expression:
    """The circular correlation of two vectors of length d, z_k = sum over i of u_i v_((i + k) mod d).

    >>> circ_corr(inputVector([1, 0, 0]), inputVector([1, 2, 3])).value()
    [1.0, 2.0, 3.0]
    """
    ...


__all__ = ["circ_conv", "circ_corr"]
