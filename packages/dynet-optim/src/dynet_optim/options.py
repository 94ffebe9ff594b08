"""The options of a trainer: the learning rate and its decay, clipping, and sparse updates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dynet_core.annotations import Number
from dynet_core.checks import checked_flag
from dynet_core.errors import ArgumentError
from dynet_core.hints import Missing
from dynet_core.keyword_hints import method

from .settings import FINITE, NOT_NEGATIVE, Range, checked, plain_number


class Options:
    """A base class of `Trainer`, with the methods that read and set its options.

    After n epochs, the learning rate is (initial rate) / (1 + edecay * n).
    """

    if not TYPE_CHECKING:
        _collection = _rate = _rate0 = _threshold = _table = Missing()

    def __init__(self, rate: Number, edecay: Number):
        self._edecay = self._checked("edecay", edecay, NOT_NEGATIVE)
        self._rate0 = self._rate = self._checked("the learning rate", rate, NOT_NEGATIVE)
        self._epoch = 0.0
        self._threshold = 5.0  # the norm above which gradients are clipped
        self._dense = 0  # 1: update all rows of lookup parameters; 0: update only the rows that were used

    def whoami(self) -> str:
        """Return the name of the trainer's class."""
        return self._who

    @property
    def _who(self) -> str:
        return type(self).__name__

    def _checked(self, name: str, value: object, range: Range) -> float:
        return checked(f"{self._who}: {name}", value, range)

    @property
    def learning_rate(self) -> float:
        """The current learning rate. If a program sets it, later calls of `update_epoch` start from the new value."""
        return self._rate

    @learning_rate.setter
    def learning_rate(self, value: Number) -> None:
        self._rate = self._checked("learning_rate", value, NOT_NEGATIVE)
        self._rate0 = self._rate * self._decay()

    @method(value="learning_rate")
    def set_learning_rate(self, learning_rate: Number) -> None:
        """Set the learning rate, as an assignment to `learning_rate` does. DyNet 2.1 calls the argument `value`."""
        self.learning_rate = learning_rate

    def _decay(self) -> float:
        return 1 + self._edecay * self._epoch

    def _scheduled_rate(self) -> float:
        """Return what the learning rate would be if `edecay` were 0. `CyclicalSGDTrainer` overrides this."""
        return self._rate0

    def update_epoch(self, r: Number = 1.0) -> None:
        """Count `r` more epochs. The learning rate becomes (initial rate) / (1 + edecay * n) after n epochs in all."""
        epoch = self._epoch + checked("update_epoch: r", r, FINITE)
        if not 1 + self._edecay * epoch > 0:
            raise ArgumentError(f"update_epoch: r is {r}, which leads back to epoch {epoch}")
        self._epoch = epoch
        self._rate = self._scheduled_rate() / self._decay()

    def get_clip_threshold(self) -> float:
        """Return the clipping threshold: the norm above which gradients are scaled down; 0 if they never are."""
        return self._threshold

    @method()
    def set_clip_threshold(self, thr: Number) -> None:
        """Make updates scale the gradients down if their norm exceeds `thr`. 0 or less turns clipping off."""
        threshold = plain_number("set_clip_threshold: thr", thr)
        if math.isnan(threshold):
            raise ArgumentError("set_clip_threshold: thr is nan")
        self._threshold = max(threshold, 0.0)

    @method()
    def set_sparse_updates(self, su: bool) -> None:
        """Set whether updates skip the rows of lookup parameters that were not used since the last update.

        With True, the default, the time for an update depends on the number of used rows, not of all rows. With False,
        trainers that remember earlier gradients (all except SGD without momentum) also change the other rows.
        """
        self._dense = int(not checked_flag("set_sparse_updates", "su", su))
