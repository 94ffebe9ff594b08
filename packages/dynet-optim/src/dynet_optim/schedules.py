"""Schedules of the learning rate, for `Trainer.set_schedule`, and the scores that some of them depend on.

A schedule is a function of the number of earlier updates. It returns a factor of the trainer's initial learning rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from dynet_core.annotations import Index, Number
from dynet_core.checks import NOT_NEGATIVE, UNIT_INTERVAL, Range, checked_flag, checked_number, whole
from dynet_core.errors import ArgumentError, ArgumentTypeError
from dynet_core.messages.hints import Closed

Schedule = Callable[[int], Number]
FACTOR: Range = "more than 0 and at most 1", lambda x: 0 < x <= 1


def _checked_count(name: str, what: str, value: Index) -> int:
    count = whole(name, what, value)
    if count < 1:
        raise ArgumentError(f"{name}: {what} must be at least 1, got {value!r}")
    return count


def checked_schedule(caller: str, schedule: Any) -> Any:
    if not (schedule is None or callable(schedule)):
        raise ArgumentTypeError(f"{caller}: a schedule is a function of the number of updates, not {schedule!r:.60}")
    return schedule


class WarmUpSchedule:
    r"""A learning rate that rises linearly, and then follows another schedule.

    The factors of the first n updates are 1 / (n + 1), 2 / (n + 1), ..., n / (n + 1).

    Args:
        steps: the number n of updates.
        then: the schedule after that, for which the number of updates is counted from 0 again. Without it, the factor
            is 1.

    Raises:
        ArgumentError: `steps` is less than 1.

    >>> import dynet as dy
    >>> schedule = dy.WarmUpSchedule(3, then=dy.ExponentialSchedule(0.5))
    >>> [schedule(step) for step in range(6)]
    [0.25, 0.5, 0.75, 1.0, 0.5, 0.25]
    """

    def __init__(self, steps: Index, then: Schedule | None = None):
        self._steps = _checked_count("WarmUpSchedule", "steps", steps)
        self._then = checked_schedule("WarmUpSchedule: then", then)

    def __call__(self, step: int) -> Number:
        if step < self._steps:
            return (step + 1) / (self._steps + 1)
        return self._then(step - self._steps) if self._then else 1.0


class CosineSchedule:
    r"""A learning rate that falls along half a cosine wave, and then stays.

    .. math:: l + (1 - l)\,\frac{1 + \cos(\pi \min(t, n) / n)}{2}

    Args:
        steps: the number n of updates until the factor is `lowest`.
        lowest: the last factor l, in [0, 1].

    Raises:
        ArgumentError: a number is out of its range.

    Source: I. Loshchilov, F. Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2016.

    >>> import dynet as dy
    >>> schedule = dy.CosineSchedule(4, lowest=0.5)
    >>> [round(schedule(step), 2) for step in range(6)]
    [1.0, 0.93, 0.75, 0.57, 0.5, 0.5]
    """

    def __init__(self, steps: Index, lowest: Number = 0.0):
        self._steps = _checked_count("CosineSchedule", "steps", steps)
        self._lowest = checked_number("CosineSchedule: lowest", lowest, UNIT_INTERVAL)

    def __call__(self, step: int) -> float:
        share = (1 + math.cos(math.pi * min(step / self._steps, 1.0))) / 2
        return self._lowest + (1 - self._lowest) * share


class ExponentialSchedule:
    r"""A learning rate that falls exponentially: after t updates, the factor is :math:`factor^{t / steps}`.

    Args:
        factor: how much of the rate is left after `steps` updates; more than 0 and at most 1.
        steps: a number of updates.

    Raises:
        ArgumentError: a number is out of its range.

    >>> import dynet as dy
    >>> schedule = dy.ExponentialSchedule(0.25, steps=2)
    >>> [schedule(step) for step in range(4)]
    [1.0, 0.5, 0.25, 0.125]
    """

    def __init__(self, factor: Number, steps: Index = 1):
        self._factor = checked_number("ExponentialSchedule: factor", factor, FACTOR)
        self._steps = _checked_count("ExponentialSchedule", "steps", steps)

    def __call__(self, step: int) -> float:
        return self._factor ** (step / self._steps)


class Scores(Closed):
    """The best of the scores that a program reports, and what has followed.

    `_state` has what files store: the best score, which lower scores exceed (so an accuracy is negated); the number of
    reports since then; and the number of falls of the rate.
    """

    def __init__(self, patience: Index, lower_is_better: bool, min_change: Number):
        name = type(self).__name__
        self._patience = _checked_count(name, "patience", patience)
        self._sign = 1.0 if checked_flag(name, "lower_is_better", lower_is_better) else -1.0
        self._min_change = checked_number(f"{name}: min_change", min_change, NOT_NEGATIVE)
        self._state = [math.inf, 0.0, 0.0]

    def report(self, score: Number) -> bool:
        """Report a score of the model, for example its loss on held-out examples. Return whether it is the best so far.

        Raises:
            ArgumentError: the score is infinite or NaN. Nothing has changed.
        """
        self._state = self._after(score)
        return self._state[1] == 0

    def _after(self, score: Number) -> list[float]:
        """Return what `_state` will be after this score."""
        score = self._sign * checked_number(f"{type(self).__name__}.report: score", score)
        best, since_best, falls = self._state
        return [score, 0.0, falls] if score < best - self._min_change else [best, since_best + 1, falls]


def are_scores(numbers: list[float]) -> bool:
    """Return whether numbers from a file may be a `_state` of `Scores`, or none."""
    return all(best > -math.inf for best in numbers[:1]) and all(
        0 <= count < 2**53 and count.is_integer() for count in numbers[1:]
    )


class PlateauSchedule(Scores):
    """A learning rate that falls whenever the scores of the model no longer improve.

    After `patience` reports in a row that are not better than the best one before, the rate is multiplied by `factor`,
    and the next `patience` reports are awaited. `Trainer.save` also stores the scores' state.

    Args:
        factor: more than 0 and at most 1.
        patience: how many reports without a better score to wait for, at least 1.
        lower_is_better: True for losses, False for accuracies.
        min_change: by how much a score must be better to count.

    Raises:
        ArgumentError: a number is out of its range.

    >>> import dynet as dy
    >>> m = dy.ParameterCollection()
    >>> plateau = dy.PlateauSchedule(factor=0.5, patience=2)
    >>> trainer = dy.SimpleSGDTrainer(m, learning_rate=0.5)
    >>> trainer.set_schedule(plateau)
    >>> for loss in (2.5, 1.25, 1.5, 1.25):
    ...     print(plateau.report(loss), trainer.learning_rate)
    True 0.5
    True 0.5
    False 0.5
    False 0.25
    """

    def __init__(
        self, factor: Number = 0.1, patience: Index = 10, *, lower_is_better: bool = True, min_change: Number = 0.0
    ):
        super().__init__(patience, lower_is_better, min_change)
        self._factor = checked_number("PlateauSchedule: factor", factor, FACTOR)

    def report(self, score: Number) -> bool:
        """Report a score, as of held-out examples. Return whether it is the best so far. See `EarlyStopping.report`."""
        is_best = super().report(score)
        best, since_best, falls = self._state
        if since_best >= self._patience:
            self._state = [best, 0.0, falls + 1]
        return is_best

    def __call__(self, step: int) -> float:
        return self._factor ** self._state[2]


def plateau_of(schedule: Schedule | None) -> PlateauSchedule | None:
    """Return the part of a schedule that has a state, if any."""
    while isinstance(schedule, WarmUpSchedule):
        schedule = schedule._then
    return schedule if isinstance(schedule, PlateauSchedule) else None
