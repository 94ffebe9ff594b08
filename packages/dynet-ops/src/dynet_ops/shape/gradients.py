"""Operations that leave values unchanged and change only the gradient."""

from __future__ import annotations

from dynet_core.signature import apart

from ..declare import *


@functools.cache
def _scaled(dim: Dim) -> Signature:
    return apart(dim, [Step("times_number.dx", (dim.total,), gradient_of=0)], constants=1)


@recorded(
    reference=lambda x, lambd=1.0: x,
    differentiated_as=lambda x, lambd=1.0: lambd * x,
    samples="1 lambd=0.5; 17 lambd=-2.0; 5x3*2 lambd=0.0; 33*3 lambd=3.0",
)
def scale_gradient(x: Expression, lambd: Number = 1.0) -> Expression:
    """The value of x, unchanged. The gradient of x is `lambd` times the gradient of the result.

    >>> x = inputVector([1, 2])
    >>> sum_elems(scale_gradient(x, 3.0)).backward(full=True)
    >>> x.gradient()
    array([3., 3.])
    """
    graph = graph_of("scale_gradient", (x,))
    number = finite("scale_gradient", "lambd", lambd)
    return graph.append(_scaled(x.type.plain), [x.at, graph.take((number,))])


@by_dims(
    lambda dim: apart(dim, [Step("negative.dx", (dim.total,), gradient_of=0)]),
    reference=lambda x: x,
    differentiated_as=lambda x: -x,
    samples="1; 17; 5x3*2; 33*3",
)
def flip_gradient(x: Expression) -> Expression:
    """The value of x, unchanged. The gradient of x is minus the gradient of the result, for adversarial training.

    Source: Ganin and Lempitsky, "Unsupervised Domain Adaptation by Backpropagation", 2015.

    >>> x = inputVector([1, 2])
    >>> sum_elems(flip_gradient(x)).backward(full=True)
    >>> x.gradient()
    array([-1., -1.])
    """
    ...


__all__ = ["flip_gradient", "scale_gradient"]
