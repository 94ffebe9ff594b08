"""Activation functions such as `elu` and `silu`. `functions.py` has three others: tanh, logistic and rectify."""

from __future__ import annotations

from ..declare import *

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


@elementwise(reference=lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(np.where(x > 0, 0, x))))
def elu(x: Expression, alpha: Number = 1.0) -> Expression:
    """Exponential linear unit of each element, y = x where x > 0, else alpha (e^x - 1).

    alpha is a plain number; y tends to -alpha for very negative x.

    Source: Clevert, Unterthiner and Hochreiter, "Fast and Accurate Deep Network Learning by Exponential Linear
    Units", 2016.

    >>> elu(inputVector([-1.0, 2.0])).npvalue().round(4)
    array([-0.6321,  2.    ])
    """
    return f.where(f.greater(x, 0), x, alpha * f.expm1(x))


@elementwise(reference=lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.where(x > 0, 0, x))))
def selu(x: Expression) -> Expression:
    """Scaled exponential linear unit of each element: 1.0507 times `elu` with alpha = 1.6733.

    Source: Klambauer, Unterthiner, Mayr and Hochreiter, "Self-Normalizing Neural Networks", 2017.

    >>> selu(inputVector([-1.0, 2.0])).npvalue().round(4)
    array([-1.1113,  2.1014])
    """
    return f.where(f.greater(x, 0), SELU_SCALE * x, SELU_SCALE * SELU_ALPHA * f.expm1(x))


@elementwise(reference=lambda x, beta=1.0: x / (1 + np.exp(-beta * x)))
def silu(x: Expression, beta: Number = 1.0) -> Expression:
    """Sigmoid linear unit ("swish") of each element, y = x / (1 + e^(-beta x)). beta is a plain number.

    Source: Elfwing, Uchibe and Doya, "Sigmoid-Weighted Linear Units for Neural Network Function Approximation in
    Reinforcement Learning", 2017; Ramachandran, Zoph and Le, "Searching for Activation Functions", 2017.

    >>> silu(inputVector([-1.0, 2.0])).npvalue().round(4)
    array([-0.2689,  1.7616])
    """
    return x * f.logistic(beta * x)


@elementwise(
    reference=lambda x: np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x))),
    # The gradient is stated: the derived one is wrong at x = 0, where both terms have a kink, but their sum has none.
    gradients={"x": lambda x, dy: dy * f.logistic(-x)},
)
def log_sigmoid(x: Expression) -> Expression:
    """Logarithm of the logistic sigmoid of each element, y = -log(1 + e^-x). Large |x| do not overflow.

    >>> log_sigmoid(inputVector([0.0, -1000.0])).npvalue().round(4)
    array([-6.931e-01, -1.000e+03])
    """
    return f.minimum(x, 0) - f.log1p(f.exp(-f.absolute(x)))


__all__ = ["elu", "log_sigmoid", "selu", "silu"]
