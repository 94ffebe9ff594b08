"""The trainers: stochastic gradient descent, and those that scale each element's step by its earlier gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from dynet_core.annotations import Number
from dynet_core.checks import FRACTION, NOT_NEGATIVE, POSITIVE, checked_flag, checked_list, float32
from dynet_core.errors import ArgumentError
from dynet_core.parameter import ParameterCollection
from dynet_core.parameter.base import Trained
from dynet_kernels.formula import maximum, over_root, sqrt

from .base import Trainer
from .kept import AveragedParameters, EarlyStopping
from .parallel import DataParallel
from .registry import register
from .rule import update
from .schedules import CosineSchedule, ExponentialSchedule, PlateauSchedule, WarmUpSchedule
from .table import ParameterTable


def _sgd_reference(p, g, states, rate, t, **settings):
    p -= rate * g


def _momentum_reference(p, g, states, rate, t, mom=0.9):
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


@register(_sgd_reference, {"e0": 0.7})
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
        super().__init__(m, self._argument_of_two_names(0.1, e0=e0, learning_rate=learning_rate), edecay)


@register(_sgd_reference, {"e0_min": 0.1, "e0_max": 0.5, "step_size": 2, "gamma": 0.9})
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
        low = self._argument_of_two_names(0.01, e0_min=e0_min, learning_rate_min=learning_rate_min)
        high = self._argument_of_two_names(0.1, e0_max=e0_max, learning_rate_max=learning_rate_max)
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

    def _count_update(self) -> None:
        super()._count_update()
        object.__setattr__(self, "_rate", self._scheduled_rate() / self._decay())  # faster than `Closed.__setattr__`


@register(_momentum_reference, {"e0": 0.1, "mom": 0.5})
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
        super().__init__(m, self._argument_of_two_names(0.01, e0=e0, learning_rate=learning_rate), edecay)
        self._momentum = self._checked("mom", mom, FRACTION)


def moving_mean_square(h, g, rho):
    return h * rho + g * g * (1 - rho)


@update
def adagrad(p, g, h, rate, scale, eps):
    g = g * scale
    h = h + g * g
    return {"h": h, "p": p - g / sqrt(h + eps) * rate}


@update
def adadelta(p, g, h, d, rate, scale, rho, eps):
    g = g * scale
    h = moving_mean_square(h, g, rho)
    step = g * sqrt(d + eps) / sqrt(h + eps)
    return {"h": h, "d": moving_mean_square(d, step, rho), "p": p - step * rate}


@update
def rmsprop(p, g, h, rate, scale, rho, eps):
    g = g * scale
    h = moving_mean_square(h, g, rho)
    return {"h": h, "p": p - g / sqrt(h + eps) * rate}


def _adagrad_reference(p, g, states, rate, t, eps=1e-20):
    (h,) = states
    h += g**2
    p -= rate * g / np.sqrt(h + eps)


def _adadelta_reference(p, g, states, rate, t, eps=1e-6, rho=0.95):
    (h, d), rho = states, float32(rho)
    h[:] = rho * h + (1 - rho) * g**2
    step = g * np.sqrt(d + eps) / np.sqrt(h + eps)
    d[:] = rho * d + (1 - rho) * step**2
    p -= rate * step


def _rmsprop_reference(p, g, states, rate, t, eps=1e-8, rho=0.9):
    (h,), rho = states, float32(rho)
    h[:] = rho * h + (1 - rho) * g**2
    p -= rate * g / np.sqrt(h + eps)


@register(_adagrad_reference, {"e0": 0.3, "eps": 0.1})
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
        super().__init__(m, self._argument_of_two_names(0.1, e0=e0, learning_rate=learning_rate), edecay)
        self._eps = self._checked("eps", eps, POSITIVE)


@register(_adadelta_reference, {"eps": 1e-3, "rho": 0.5})
class AdadeltaTrainer(Trainer):
    r"""Adadelta. It scales the step of each element by the ratio of its earlier steps to its earlier gradients.

    .. math::

        h \leftarrow \rho h + (1 - \rho) g^2 \qquad
        \delta = \frac{\sqrt{d + \epsilon}}{\sqrt{h + \epsilon}} g \qquad
        d \leftarrow \rho d + (1 - \rho) \delta^2 \qquad
        \theta \leftarrow \theta - \eta \delta

    The learning rate :math:`\eta` is 1, unless a program sets it or `edecay` lowers it. The original DyNet ignores it.

    Args:
        m: the collection to train.
        eps: added under both roots, so that neither the divisor nor the first step is zero.
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


@register(_rmsprop_reference, {"e0": 0.1, "eps": 0.1, "rho": 0})
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
        super().__init__(m, self._argument_of_two_names(0.001, e0=e0, learning_rate=learning_rate), edecay)
        self._eps = self._checked("eps", eps, POSITIVE)
        self._rho = self._checked("rho", rho, FRACTION)


def moving_averages(g, m, v, beta_1, beta_2):
    return m * beta_1 + g * (1 - beta_1), v * beta_2 + g * g * (1 - beta_2)


@update
def adam(p, g, m, v, rate, scale, beta_1, beta_2, eps):
    m, v = moving_averages(g * scale, m, v, beta_1, beta_2)
    return {"m": m, "v": v, "p": p - over_root(m, v, eps) * rate}


@update
def amsgrad(p, g, m, v, largest, rate, scale, beta_1, beta_2, eps):
    m, v = moving_averages(g * scale, m, v, beta_1, beta_2)
    largest = maximum(largest, v)
    return {"m": m, "v": v, "largest": largest, "p": p - over_root(m, largest, eps) * rate}


def _adam_reference(p, g, states, rate, t, beta_1=0.9, beta_2=0.999, eps=1e-8):
    """Do update number t of Adam in numpy. For AMSGrad, `states` also has the largest values of v so far."""
    m, v, *largest = states
    a, b = float32(beta_1), float32(beta_2)
    m[:] = a * m + (1 - a) * g
    v[:] = b * v + (1 - b) * g**2
    for peak in largest:
        peak[:] = v = np.maximum(peak, v)
    p -= rate * np.sqrt(1 - b**t) / (1 - a**t) * m / (np.sqrt(v) + eps)


@register(_adam_reference, {"alpha": 0.1, "beta_1": 0.5, "beta_2": 0.75, "eps": 1e-2}, {"beta_1": 0, "beta_2": 0})
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
        super().__init__(m, self._argument_of_two_names(0.001, alpha=alpha, learning_rate=learning_rate), edecay)
        self._beta_1 = float32(self._checked("beta_1", beta_1, FRACTION))
        self._beta_2 = float32(self._checked("beta_2", beta_2, FRACTION))
        self._eps = self._checked("eps", eps, POSITIVE)

    def _numbers(self, scale: float) -> tuple[float, ...]:
        # Betas are rounded to float32, as in kernels; else 1 - 0.999 would differ from the kernels' in the fifth digit.
        t = self._counts.updates + 1
        rate = self._rate * math.sqrt(1 - self._beta_2**t) / (1 - self._beta_1**t)
        return rate, scale, self._beta_1, self._beta_2, self._eps


@register(_adam_reference, {"alpha": 0.1, "beta_2": 0.5})
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


@update
def adamw(p, g, m, v, rate, scale, beta_1, beta_2, eps, decay):
    m, v = moving_averages(g * scale, m, v, beta_1, beta_2)
    return {"m": m, "v": v, "p": p - (over_root(m, v, eps) * rate + p * decay)}


def _adamw_reference(p, g, states, rate, t, beta_1=0.9, beta_2=0.999, eps=1e-8, weight_decay=0.01):
    (m, v), a, b = states, float32(beta_1), float32(beta_2)
    m[:] = a * m + (1 - a) * g
    v[:] = b * v + (1 - b) * g**2
    p *= 1 - rate * weight_decay
    p -= rate * (m / (1 - a**t)) / (np.sqrt(v / (1 - b**t)) + eps)


@register(_adamw_reference, {"alpha": 0.1, "beta_2": 0.75, "eps": 1e-2, "weight_decay": 0.5}, {"weight_decay": 0})
class AdamWTrainer(AdamTrainer):
    r"""AdamW: Adam with a weight decay that does not depend on the gradients, as in PyTorch.

    .. math::

        m &\leftarrow \beta_1 m + (1 - \beta_1) g \qquad v \leftarrow \beta_2 v + (1 - \beta_2) g^2 \\
        \theta &\leftarrow (1 - \eta \lambda)\,\theta -
        \eta \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    where g is the gradient, :math:`\theta` the parameter, and t the number of the update, which starts at 1. Unlike in
    `AdamTrainer`, the correction of v does not scale :math:`\epsilon`.

    With sparse updates (the default), rows of lookup parameters that were not used since the last update do not decay;
    after `set_sparse_updates(False)`, all rows do. A decay set by `set_weight_decay` of the collection comes on top.

    Args:
        m, alpha, learning_rate, beta_1, beta_2, eps, edecay: as in `AdamTrainer`.
        weight_decay: the decay :math:`\lambda`, 0 or more.
        no_decay: a list of parameters and lookup parameters of the collection that do not decay.
        decay_vectors: whether parameters of one dimension, such as biases, decay. Lookup parameters always have two.

    Raises:
        ArgumentError: a number is out of its range, `no_decay` has a parameter that is not in the collection, or both
            names of the rate are given.

    Source: I. Loshchilov, F. Hutter, Decoupled Weight Decay Regularization, 2019.

    >>> import dynet as dy
    >>> m = dy.ParameterCollection()
    >>> W, b = m.add_parameters((1, 2), init=1.0), m.add_parameters(1, init=1.0)
    >>> trainer = dy.AdamWTrainer(m, learning_rate=0.1, weight_decay=0.5, decay_vectors=False)
    >>> dy.sum_elems(W + b).backward()
    >>> trainer.update()
    >>> W.as_array().round(4), b.as_array().round(4)
    (array([[0.85, 0.85]]), array([0.9]))
    """

    rule = adamw

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
        weight_decay: Number = 0.01,
        no_decay: Iterable[Trained] = (),
        decay_vectors: bool = True,
    ):
        self._weight_decay = self._checked("weight_decay", weight_decay, NOT_NEGATIVE)
        self._decay_vectors = checked_flag(self.whoami(), "decay_vectors", decay_vectors)
        self._no_decay = checked_list(f"{self.whoami()}: no_decay", no_decay, "parameters")
        super().__init__(m, alpha, beta_1, beta_2, eps, edecay, learning_rate=learning_rate)
        own = {p._storage for p in m._all_parameters()}
        for p in self._no_decay:
            if getattr(p, "_storage", None) not in own:
                raise ArgumentError(f"{self.whoami()}: no_decay: {p!r:.80} is not a parameter of {m!r}")

    def _new_table(self) -> ParameterTable:
        exempt = {getattr(p, "_storage", None) for p in self._no_decay}
        are_vectors_exempt = not self._decay_vectors

        def group_of(p: Trained) -> int:
            return p._storage in exempt or (are_vectors_exempt and not p._is_lookup and len(p.type.dims) < 2)

        return ParameterTable(self._collection, self.rule, group_of, group_count=2)

    def _numbers(self, scale: float) -> tuple[float, ...]:
        # The rate has the root of v's correction as a factor. If eps has it too, the correction applies to v alone.
        rate, *others, eps = super()._numbers(scale)
        numbers = rate, *others, eps * math.sqrt(1 - self._beta_2 ** (self._counts.updates + 1))
        return *numbers, self._rate * self._weight_decay, *numbers, 0.0


# The public names of this package.
__all__ = [
    "AdadeltaTrainer", "AdagradTrainer", "AdamTrainer", "AdamWTrainer", "AmsgradTrainer", "AveragedParameters",
    "CosineSchedule", "CyclicalSGDTrainer", "DataParallel", "EarlyStopping", "ExponentialSchedule",
    "MomentumSGDTrainer", "PlateauSchedule", "RMSPropTrainer", "SimpleSGDTrainer", "Trainer", "WarmUpSchedule",
]  # fmt: skip
