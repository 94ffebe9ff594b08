"""The trainers Adam and AMSGrad."""

from __future__ import annotations

from math import sqrt

import numpy as np

from dynet_core.annotations import Number
from dynet_core.checks import FRACTION, POSITIVE, float32
from dynet_core.parameter import ParameterCollection
from dynet_kernels.formula import maximum, over_root

from .base import Trainer
from .registry import register
from .rule import update


def averages(g, m, v, beta_1, beta_2):
    return m * beta_1 + g * (1 - beta_1), v * beta_2 + g * g * (1 - beta_2)


@update
def adam(p, g, m, v, rate, scale, beta_1, beta_2, eps):
    m, v = averages(g * scale, m, v, beta_1, beta_2)
    return {"m": m, "v": v, "p": p - over_root(m, v, eps) * rate}


@update
def amsgrad(p, g, m, v, largest, rate, scale, beta_1, beta_2, eps):
    m, v = averages(g * scale, m, v, beta_1, beta_2)
    largest = maximum(largest, v)
    return {"m": m, "v": v, "largest": largest, "p": p - over_root(m, largest, eps) * rate}


def _adam(p, g, states, rate, t, beta_1=0.9, beta_2=0.999, eps=1e-8):
    """Do update number t of Adam or AMSGrad in numpy, for tests.

    For AMSGrad, `states` has a third array: the largest averages of squared gradients so far.
    """
    m, v, *largest = states
    a, b = float32(beta_1), float32(beta_2)
    m[:] = a * m + (1 - a) * g
    v[:] = b * v + (1 - b) * g**2
    for most in largest:
        most[:] = v = np.maximum(most, v)
    p -= rate * np.sqrt(1 - b**t) / (1 - a**t) * m / (np.sqrt(v) + eps)


@register(_adam, {"alpha": 0.1, "beta_1": 0.5, "beta_2": 0.75, "eps": 1e-2}, {"beta_1": 0, "beta_2": 0})
class AdamTrainer(Trainer):
    r"""Adam. Its steps depend on moving averages of the gradient and its square, which are corrected for starting at 0.

    .. math::

        m &\leftarrow \beta_1 m + (1 - \beta_1) g \qquad v \leftarrow \beta_2 v + (1 - \beta_2) g^2 \\
        \theta &\leftarrow \theta -
        \eta \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t} \frac{m}{\sqrt{v} + \epsilon}

    where g is the gradient, :math:`\theta` the parameter, and t the number of the update, which starts at 1. All rows
    of lookup parameters have the same t, even if some were not used in earlier updates.

    Args:
        m: the collection to train.
        alpha, learning_rate: the learning rate :math:`\eta` (default 0.001).
        beta_1: the decay of the average of gradients, in [0, 1).
        beta_2: the decay of the average of squared gradients, in [0, 1).
        eps: added to the divisor, so that it is not zero.
        edecay: how fast `update_epoch` lowers the rate: after n epochs it is (initial rate) / (1 + edecay * n).

    Raises:
        ArgumentError: a number is out of its range, or both names of the rate are given.

    Source: D. Kingma, J. Ba, Adam: A Method for Stochastic Optimization, 2014.

    >>> import dynet as dy
    >>> m = dy.ParameterCollection()
    >>> w = m.add_parameters(1, init=1.0)
    >>> trainer = dy.AdamTrainer(m)
    >>> dy.sum_elems(w).backward()
    >>> trainer.update()
    >>> w.as_array().round(4)
    array([0.999])
    """

    rule = adam

    def __init__(
        self,
        m: ParameterCollection,
        alpha: Number | None = None,
        beta_1: Number = 0.9,
        beta_2: Number = 0.999,
        eps: Number = 1e-8,
        edecay: Number = 0.0,
        *,
        learning_rate: Number | None = None,
    ):
        super().__init__(m, self._either(0.001, alpha=alpha, learning_rate=learning_rate), edecay)
        self._beta_1 = float32(self._checked("beta_1", beta_1, FRACTION))
        self._beta_2 = float32(self._checked("beta_2", beta_2, FRACTION))
        self._eps = self._checked("eps", eps, POSITIVE)

    def _numbers(self, scale: float) -> tuple[float, ...]:
        # The betas were rounded to float32, as kernels read them. Otherwise 1 - beta here would differ from theirs: for
        # 0.999, in the fifth digit.
        number = self._counts.updates + 1
        rate = self._rate * sqrt(1 - self._beta_2**number) / (1 - self._beta_1**number)
        return rate, scale, self._beta_1, self._beta_2, self._eps


@register(_adam, {"alpha": 0.1, "beta_2": 0.5})
class AmsgradTrainer(AdamTrainer):
    r"""AMSGrad: Adam that divides by the largest average of squared gradients so far, so that steps do not grow again.

    .. math::

        \hat v \leftarrow \max(\hat v, v) \qquad
        \theta \leftarrow \theta - \eta \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t}
        \frac{m}{\sqrt{\hat v} + \epsilon}

    where m and v are the averages in the formulas of `AdamTrainer`, and t is the number of the update.

    Args:
        m, alpha, learning_rate, beta_1, beta_2, eps, edecay: as in `AdamTrainer`.

    Source: S. Reddi, S. Kale, S. Kumar, On the Convergence of Adam and Beyond, 2018.

    >>> import dynet as dy
    >>> m = dy.ParameterCollection()
    >>> w = m.add_parameters(1, init=1.0)
    >>> trainer = dy.AmsgradTrainer(m, alpha=0.01)
    >>> dy.sum_elems(w).backward()
    >>> trainer.update()
    >>> w.as_array().round(4)
    array([0.99])
    """

    rule = amsgrad
