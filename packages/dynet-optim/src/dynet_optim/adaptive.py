"""Adagrad, Adadelta and RMSProp: trainers that scale the step of each element by its earlier gradients."""

from __future__ import annotations

import numpy as np

from dynet_core.annotations import Number
from dynet_core.checks import FRACTION, POSITIVE, float32
from dynet_core.parameter import ParameterCollection
from dynet_kernels.formula import sqrt

from .base import Trainer
from .registry import register
from .rule import update


def mean_square(h, g, rho):
    return h * rho + g * g * (1 - rho)


@update
def adagrad(p, g, h, rate, scale, eps):
    g = g * scale
    h = h + g * g
    return {"h": h, "p": p - g / sqrt(h + eps) * rate}


@update
def adadelta(p, g, h, d, rate, scale, rho, eps):
    g = g * scale
    h = mean_square(h, g, rho)
    step = g * sqrt(d + eps) / sqrt(h + eps)
    return {"h": h, "d": mean_square(d, step, rho), "p": p - step * rate}


@update
def rmsprop(p, g, h, rate, scale, rho, eps):
    g = g * scale
    h = mean_square(h, g, rho)
    return {"h": h, "p": p - g / sqrt(h + eps) * rate}


def _adagrad(p, g, states, rate, t, eps=1e-20):
    (h,) = states
    h += g**2
    p -= rate * g / np.sqrt(h + eps)


def _adadelta(p, g, states, rate, t, eps=1e-6, rho=0.95):
    (h, d), rho = states, float32(rho)
    h[:] = rho * h + (1 - rho) * g**2
    step = g * np.sqrt(d + eps) / np.sqrt(h + eps)
    d[:] = rho * d + (1 - rho) * step**2
    p -= rate * step


def _rmsprop(p, g, states, rate, t, eps=1e-8, rho=0.9):
    (h,), rho = states, float32(rho)
    h[:] = rho * h + (1 - rho) * g**2
    p -= rate * g / np.sqrt(h + eps)


@register(_adagrad, {"e0": 0.3, "eps": 0.1})
class AdagradTrainer(Trainer):
    r"""Adagrad. It divides the step of each element by the root of the sum of its squared gradients so far.

    .. math:: h \leftarrow h + g^2 \qquad \theta \leftarrow \theta - \eta \frac{g}{\sqrt{h + \epsilon}}

    Args:
        m: the collection to train.
        e0, learning_rate: the learning rate :math:`\eta` (default 0.1).
        eps: added to the squares, so that the divisor is not zero.
        edecay: how fast `update_epoch` lowers the rate: after n epochs it is (initial rate) / (1 + edecay * n).

    Raises:
        ArgumentError: a number is out of its range.

    Source: J. Duchi, E. Hazan, Y. Singer, Adaptive Subgradient Methods for Online Learning, 2011.

    >>> import dynet as dy
    >>> m = dy.ParameterCollection()
    >>> w = m.add_parameters(1, init=1.0)
    >>> trainer = dy.AdagradTrainer(m, 0.25)
    >>> dy.sum_elems(w).backward()
    >>> trainer.update()
    >>> w.as_array()
    array([0.75])
    """

    rule = adagrad

    def __init__(
        self,
        m: ParameterCollection,
        e0: Number | None = None,
        eps: Number = 1e-20,
        edecay: Number = 0.0,
        *,
        learning_rate: Number | None = None,
    ):
        super().__init__(m, self._either(0.1, e0=e0, learning_rate=learning_rate), edecay)
        self._eps = self._checked("eps", eps, POSITIVE)


@register(_adadelta, {"eps": 1e-3, "rho": 0.5})
class AdadeltaTrainer(Trainer):
    r"""Adadelta. It scales the step of each element by the ratio of its earlier steps to its earlier gradients.

    .. math::

        h \leftarrow \rho h + (1 - \rho) g^2 \qquad
        \delta = \frac{\sqrt{d + \epsilon}}{\sqrt{h + \epsilon}} g \qquad
        d \leftarrow \rho d + (1 - \rho) \delta^2 \qquad
        \theta \leftarrow \theta - \eta \delta

    The learning rate :math:`\eta` is 1, unless a program sets it or `edecay` lowers it. The original DyNet ignores the
    learning rate.

    Args:
        m: the collection to train.
        eps: :math:`\epsilon`, which keeps the divisor (under the lower root) and the first step (under the upper root)
            from being 0.
        rho: the decay of the averages h and d, in [0, 1).
        edecay: how fast `update_epoch` lowers the rate: after n epochs it is (initial rate) / (1 + edecay * n).

    Raises:
        ArgumentError: a number is out of its range.

    Source: M. Zeiler, ADADELTA: An Adaptive Learning Rate Method, 2012.

    >>> import dynet as dy
    >>> m = dy.ParameterCollection()
    >>> w = m.add_parameters(1, init=1.0)
    >>> trainer = dy.AdadeltaTrainer(m)
    >>> dy.sum_elems(w).backward()
    >>> trainer.update()
    >>> w.as_array().round(4)
    array([0.9955])
    """

    rule = adadelta

    def __init__(self, m: ParameterCollection, eps: Number = 1e-6, rho: Number = 0.95, edecay: Number = 0.0):
        super().__init__(m, 1.0, edecay)
        self._eps = self._checked("eps", eps, POSITIVE)
        self._rho = self._checked("rho", rho, FRACTION)


@register(_rmsprop, {"e0": 0.1, "eps": 0.1, "rho": 0})
class RMSPropTrainer(Trainer):
    r"""RMSProp. It divides the step of each element by the root of a moving average of its squared gradients.

    .. math::

        h \leftarrow \rho h + (1 - \rho) g^2 \qquad
        \theta \leftarrow \theta - \eta \frac{g}{\sqrt{h + \epsilon}}

    Args:
        m: the collection to train.
        e0, learning_rate: the learning rate :math:`\eta` (default 0.001).
        eps: added to the squares, so that the divisor is not zero.
        rho: the decay of the average h, in [0, 1).
        edecay: how fast `update_epoch` lowers the rate: after n epochs it is (initial rate) / (1 + edecay * n).

    Raises:
        ArgumentError: a number is out of its range.

    Source: T. Tieleman, G. Hinton, Lecture 6.5 of Neural Networks for Machine Learning, 2012.

    >>> import dynet as dy
    >>> m = dy.ParameterCollection()
    >>> w = m.add_parameters(1, init=1.0)
    >>> trainer = dy.RMSPropTrainer(m, rho=0.75)
    >>> dy.sum_elems(w).backward()
    >>> trainer.update()
    >>> w.as_array().round(4)
    array([0.998])
    """

    rule = rmsprop

    def __init__(
        self,
        m: ParameterCollection,
        e0: Number | None = None,
        eps: Number = 1e-8,
        rho: Number = 0.9,
        edecay: Number = 0.0,
        *,
        learning_rate: Number | None = None,
    ):
        super().__init__(m, self._either(0.001, e0=e0, learning_rate=learning_rate), edecay)
        self._eps = self._checked("eps", eps, POSITIVE)
        self._rho = self._checked("rho", rho, FRACTION)
