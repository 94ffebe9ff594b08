"""Functions of each element: exponentials, logarithms, powers, common activation functions and others."""

from __future__ import annotations

from dynet_core.recorder import know
from dynet_kernels.formula import SMALLEST

from ..declare import *
from ..operators import SIGNS


@elementwise(reference=np.tanh)
def tanh(x: Expression) -> Expression:
    """Hyperbolic tangent of each element.

    >>> tanh(inputVector([0.0, 1.0])).npvalue().round(4)
    array([0.    , 0.7616])
    """
    return f.tanh(x)


@elementwise(
    reference=lambda x: 1 / (1 + np.exp(-x)),
    # The gradient is stated: a loss such as `binary_log_loss` divides by y, but at least by SMALLEST, so y counts as no
    # less here, too.
    gradients={"x": lambda x, y, dy: dy * f.maximum(y, SMALLEST) / (1 + f.exp(x))},
)
def logistic(x: Expression) -> Expression:
    """Logistic sigmoid of each element, y = 1 / (1 + exp(-x)).

    >>> logistic(inputVector([0.0, 2.0])).npvalue().round(4)
    array([0.5   , 0.8808])
    """
    return f.logistic(x)


@elementwise(reference=lambda x: np.maximum(x, 0))
def rectify(x: Expression) -> Expression:
    """Rectifier (ReLU) of each element, y = max(x, 0); the gradient at 0 is 0.

    >>> rectify(inputVector([-1.0, 2.0])).value()
    [0.0, 2.0]
    """
    return f.where(f.less_equal(x, 0), 0, x)


@elementwise(reference=np.exp)
def exp(x: Expression) -> Expression:
    """Natural exponential of each element, y = e^x.

    >>> exp(inputVector([0.0, 1.0])).npvalue().round(4)
    array([1.    , 2.7183])
    """
    return f.exp(x)


@elementwise(reference=np.log, domain=(0.2, 4.0))
def log(x: Expression) -> Expression:
    """Natural logarithm of each element: -inf for zero, NaN for negative numbers.

    >>> log(inputVector([1.0, 2.0])).npvalue().round(4)
    array([0.    , 0.6931])
    """
    return f.log(x)


@elementwise(reference=np.sqrt, domain=(0.2, 4.0))
def sqrt(x: Expression) -> Expression:
    """Square root of each element; NaN for negative numbers.

    >>> sqrt(inputVector([4.0, 9.0])).value()
    [2.0, 3.0]
    """
    return f.sqrt(x)


@elementwise(reference=np.square)
def square(x: Expression) -> Expression:
    """Square of each element.

    >>> square(inputVector([2.0, -3.0])).value()
    [4.0, 9.0]
    """
    return x * x


@elementwise(reference=lambda x: x**3)
def cube(x: Expression) -> Expression:
    """Third power of each element.

    >>> cube(inputVector([2.0, -3.0])).value()
    [8.0, -27.0]
    """
    return x * x * x


@elementwise(reference=np.negative, operator="-")
def negative(x: Expression) -> Expression:
    """The negative of each element, y = -x; the same as the operator `-`.

    >>> (-inputVector([2.0, -3.0])).value()
    [-2.0, 3.0]
    """
    return -x


@elementwise(reference=np.abs)
def abs(x: Expression) -> Expression:  # noqa: A001
    """Absolute value of each element; the gradient at 0 is 0.

    >>> abs(inputVector([2.0, -3.0])).value()
    [2.0, 3.0]
    """
    return f.absolute(x)


@elementwise(
    reference=lambda x: x / (1 + np.abs(x)),
    # The gradient is stated: the derived one subtracts nearly equal numbers for large |x|, so no correct digit is left.
    gradients={"x": lambda x, dy: dy / ((1 + f.absolute(x)) * (1 + f.absolute(x)))},
)
def softsign(x: Expression) -> Expression:
    """Softsign of each element, y = x / (1 + |x|).

    >>> softsign(inputVector([1.0, -3.0])).value()
    [0.5, -0.75]
    """
    return x / (1 + f.absolute(x))


@elementwise(reference=np.vectorize(math.erf, otypes=[float]))
def erf(x: Expression) -> Expression:
    """Gaussian error function of each element, y = 2 / sqrt(pi) times the integral from 0 to x of e^(-t^2) dt.

    >>> erf(inputVector([0.0, 1.0])).npvalue().round(4)
    array([0.    , 0.8427])
    """
    return f.erf(x)


def _lgamma(x: float) -> float:
    """Return log |Gamma(x)|, infinity at 0, -1, -2, ..., where math.lgamma raises an error."""
    return math.inf if x <= 0 and x == np.floor(x) else math.lgamma(x)


@elementwise(reference=np.vectorize(_lgamma, otypes=[float]), domain=(0.2, 6.0))
def lgamma(x: Expression) -> Expression:
    """Logarithm of the gamma function of each element, y = log |Gamma(x)|; infinite at 0, -1, -2, ...

    >>> lgamma(inputVector([0.5, 4.0])).npvalue().round(4)
    array([0.5724, 1.7918])
    """
    return f.lgamma(x)


know(negative=SIGNS["-"])
Expression.__abs__ = abs  # type: ignore[method-assign]

__all__ = [
    "abs", "cube", "erf", "exp", "lgamma", "log", "logistic", "negative", "rectify", "softsign", "sqrt", "square",
    "tanh",
]  # fmt: skip
