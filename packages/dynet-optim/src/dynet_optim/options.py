"""The options of a trainer: learning rate and its decay, clipping, sparse updates."""

from __future__ import annotations

import math

from dynet_core.annotations import Number
from dynet_core.checks import checked_flag
from dynet_core.errors import ArgumentError

from .settings import FINITE, NOT_NEGATIVE, Range, checked, plain_number


class Options:
    """The options of a trainer. The learning rate falls as 1 / (1 + edecay * epochs)."""

    def __init__(self, rate: Number, edecay: Number):
        self._edecay = self._checked("edecay", edecay, NOT_NEGATIVE)
        self._rate0 = self._rate = self._checked("the learning rate", rate, NOT_NEGATIVE)
        self._epoch = 0.0
        self._threshold = 5.0  # the norm above which gradients are clipped
        self._dense = 0  # 1 updates whole lookup tables

    def whoami(self) -> str:
        """The name of the class."""
        return self._who

    @property
    def _who(self) -> str:
        return type(self).__name__

    def _checked(self, name: str, value: object, range: Range) -> float:
        return checked(f"{self._who}: {name}", value, range)

    @property
    def learning_rate(self) -> float:
        """The learning rate. After setting it, `update_epoch` goes on from the new value."""
        return self._rate

    @learning_rate.setter
    def learning_rate(self, value: Number) -> None:
        self._rate = self._checked("learning_rate", value, NOT_NEGATIVE)
        self._rate0 = self._rate * self._decay()

    def set_learning_rate(self, learning_rate: Number) -> None:
        """Set the learning rate."""
        self.learning_rate = learning_rate

    def _decay(self) -> float:
        return 1 + self._edecay * self._epoch

    def _scheduled_rate(self) -> float:
        """Return the learning rate before the decay by epochs."""
        return self._rate0

    def update_epoch(self, r: Number = 1.0) -> None:
        """Add `r` epochs. The learning rate becomes rate0 / (1 + edecay * epochs)."""
        epoch = self._epoch + checked("update_epoch: r", r, FINITE)
        if not 1 + self._edecay * epoch > 0:
            raise ArgumentError(f"update_epoch: r is {r}, which leads back to epoch {epoch}")
        self._epoch = epoch
        self._rate = self._scheduled_rate() / self._decay()

    def get_clip_threshold(self) -> float:
        """Return the norm above which gradients are scaled down; 0 if they never are."""
        return self._threshold

    def set_clip_threshold(self, thr: Number) -> None:
        """Scale gradients down if their norm exceeds `thr`. 0 or less turns clipping off."""
        threshold = plain_number("set_clip_threshold: thr", thr)
        if math.isnan(threshold):
            raise ArgumentError("set_clip_threshold: thr is nan")
        self._threshold = max(threshold, 0.0)

    def set_sparse_updates(self, su: bool) -> None:
        """Set whether updates skip the rows of lookup parameters that were not used since the last update.

        True, the default, makes an update cost as much as the used rows. With False, trainers that remember earlier
        gradients (all but SGD) also move the other rows.
        """
        self._dense = int(not checked_flag("set_sparse_updates", "su", su))
