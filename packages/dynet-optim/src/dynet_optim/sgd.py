"""Stochastic gradient descent: plain, with a cyclical learning rate, and with momentum."""

from __future__ import annotations

import math

from dynet_core.annotations import Number
from dynet_core.checks import FRACTION, NOT_NEGATIVE, POSITIVE, float32
from dynet_core.errors import ArgumentError
from dynet_core.parameter import ParameterCollection

from .base import Trainer
from .registry import register
from .rule import update


def _sgd(p, g, states, rate, t, **settings):
    p -= rate * g


def _momentum(p, g, states, rate, t, mom=0.9):
    (v,) = states
    v[:] = float32(mom) * v - rate * g
    p += v


@update
def sgd(p, g, rate):
    return {"p": p - g * rate}


@update
def momentum(p, g, v, rate, momentum):
    v = v * momentum - g * rate
    return {"v": v, "p": p + v}


@register(_sgd, {"e0": 0.7})
class SimpleSGDTrainer(Trainer):
    r"""Stochastic gradient descent.

    .. math:: \theta \leftarrow \theta - \eta g

    Args:
        m: the collection to train.
        e0, learning_rate: the learning rate :math:`\eta` (default 0.1).
        edecay: how fast `update_epoch` lowers the rate: after n epochs it is (initial rate) / (1 + edecay * n).

    Raises:
        ArgumentError: a number is NaN, infinite or negative, or both names of the rate are given.

    >>> import dynet as dy
    >>> m = dy.ParameterCollection()
    >>> w = m.add_parameters(2, init=1.0)
    >>> trainer = dy.SimpleSGDTrainer(m, learning_rate=0.25)
    >>> dy.sum_elems(w).backward()
    >>> trainer.update()
    >>> w.as_array()
    array([0.75, 0.75])
    """

    rule = sgd

    def __init__(
        self,
        m: ParameterCollection,
        e0: Number | None = None,
        edecay: Number = 0.0,
        *,
        learning_rate: Number | None = None,
    ):
        super().__init__(m, self._either(0.1, e0=e0, learning_rate=learning_rate), edecay)


@register(_sgd, {"e0_min": 0.1, "e0_max": 0.5, "step_size": 2, "gamma": 0.9})
class CyclicalSGDTrainer(Trainer):
    r"""Stochastic gradient descent with a learning rate that rises and falls.

    After each update, the learning rate becomes :math:`\eta`, where `it` is the number of updates before this one:

    .. math::

        \text{cycle} &= \left\lfloor 1 + \frac{it}{2\,step\_size} \right\rfloor \qquad
        x = \left| \frac{it}{step\_size} - 2\,\text{cycle} + 1 \right| \\
        \eta &= \eta_{min} + (\eta_{max} - \eta_{min}) \max(0, 1 - x)\,\gamma^{it}

    Args:
        m: the collection to train.
        e0_min, learning_rate_min: the lowest learning rate, :math:`\eta_{min}`, which is also the first (default 0.01).
        e0_max, learning_rate_max: the highest learning rate, :math:`\eta_{max}` (default 0.1).
        step_size: half the length of a cycle, in updates; usually the number of updates in 2 to 8 epochs.
        gamma: the factor by which the peaks shrink with every update. The default is 1, as in the code of DyNet 2.1. In
            DyNet's manual it is 0, which would keep the rate at its minimum.
        edecay: how fast `update_epoch` lowers the rate: after n epochs it is divided by 1 + edecay * n.

    Raises:
        ArgumentError: a number is out of its range, or the lowest rate is above the highest.

    Source: L. Smith, Cyclical Learning Rates for Training Neural Networks, 2015.

    >>> import dynet as dy
    >>> m = dy.ParameterCollection()
    >>> w = m.add_parameters(1, init=1.0)
    >>> trainer = dy.CyclicalSGDTrainer(m, e0_min=0.1, e0_max=0.5, step_size=4)
    >>> for _ in range(3):
    ...     dy.sum_elems(w).backward()
    ...     trainer.update()
    >>> round(trainer.learning_rate, 4)
    0.3
    """

    rule = sgd

    def __init__(
        self,
        m: ParameterCollection,
        e0_min: Number | None = None,
        e0_max: Number | None = None,
        step_size: Number = 2000,
        gamma: Number = 1.0,
        edecay: Number = 0.0,
        *,
        learning_rate_min: Number | None = None,
        learning_rate_max: Number | None = None,
    ):
        low = self._either(0.01, e0_min=e0_min, learning_rate_min=learning_rate_min)
        high = self._either(0.1, e0_max=e0_max, learning_rate_max=learning_rate_max)
        self._low = self._checked("e0_min", low, NOT_NEGATIVE)
        self._high = self._checked("e0_max", high, NOT_NEGATIVE)
        if self._low > self._high:
            raise ArgumentError(f"{self.whoami()}: e0_min is {low}, above e0_max, which is {high}")
        self._step_size = self._checked("step_size", step_size, POSITIVE)
        self._gamma = self._checked("gamma", gamma, ("more than 0 and at most 1", lambda x: 0 < x <= 1))
        super().__init__(m, self._low, edecay)

    def _scheduled_rate(self) -> float:
        it = max(self._counts.updates - 1, 0)
        cycle = math.floor(1 + it / (2 * self._step_size))
        x = abs(it / self._step_size - 2 * cycle + 1)
        return self._low + (self._high - self._low) * max(0.0, 1 - x) * self._gamma**it

    def _count(self) -> None:
        super()._count()
        object.__setattr__(self, "_rate", self._scheduled_rate() / self._decay())  # takes less time than `self._rate =`


@register(_momentum, {"e0": 0.1, "mom": 0.5})
class MomentumSGDTrainer(Trainer):
    r"""Stochastic gradient descent with momentum.

    .. math:: v \leftarrow \mu v - \eta g \qquad \theta \leftarrow \theta + v

    Args:
        m: the collection to train.
        e0, learning_rate: the learning rate :math:`\eta` (default 0.01, as in DyNet's code; its manual says 0.1).
        mom: the momentum :math:`\mu`, in [0, 1).
        edecay: how fast `update_epoch` lowers the rate: after n epochs it is (initial rate) / (1 + edecay * n).

    Raises:
        ArgumentError: a number is out of its range.

    Source: B. Polyak, Some methods of speeding up the convergence of iteration methods, 1964.

    >>> import dynet as dy
    >>> m = dy.ParameterCollection()
    >>> w = m.add_parameters(1, init=1.0)
    >>> trainer = dy.MomentumSGDTrainer(m, 0.25, mom=0.5)
    >>> for _ in range(2):
    ...     dy.sum_elems(w).backward()
    ...     trainer.update()
    >>> w.as_array()
    array([0.375])
    """

    rule = momentum

    def __init__(
        self,
        m: ParameterCollection,
        e0: Number | None = None,
        mom: Number = 0.9,
        edecay: Number = 0.0,
        *,
        learning_rate: Number | None = None,
    ):
        super().__init__(m, self._either(0.01, e0=e0, learning_rate=learning_rate), edecay)
        self._momentum = self._checked("mom", mom, FRACTION)
