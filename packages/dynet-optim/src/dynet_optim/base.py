"""What all trainers share: the update."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterable

from dynet_core.annotations import Index, Number
from dynet_core.errors import ArgumentError, ArgumentTypeError, DynetWarning, GradientError
from dynet_core.parameter import ParameterCollection, summary
from dynet_core.parameter_rows import PARAMETER_ROWS
from dynet_core.recorder import passes

from . import met
from .elsewhere import Elsewhere
from .options import Options
from .rule import SHRINK, Update
from .settings import FINITE, checked, places
from .state import Resumable
from .table import Table

ONE = 1.0  # the default of `s`, which needs no check


class Trainer(Options, Resumable, Elsewhere):
    """The base of all trainers.

    A trainer changes the parameters of a collection, those that are added later included, and keeps the
    collection alive. Parameters with `set_updated(False)` are neither changed nor counted in the norm of the
    gradient. Updates are computed in float32, the norm in float64.

    Where the collection has a weight decay, every update ends with all parameters that it may change shrinking by
    that part, rows of lookup parameters that were not used included: a pass over all of them, however few were used.
    """

    rule: Update

    def __init__(self, m: ParameterCollection, rate: Number, edecay: Number):
        if not isinstance(m, ParameterCollection):
            raise ArgumentTypeError(f"{self._who}: expected a ParameterCollection, got {type(m).__name__}")
        super().__init__(rate, edecay)
        self._collection = m
        self._updates = self._recent_updates = self._recent_clips = 0
        self._without_gradient = self._has_trained = self._warned = False
        self._begin()

    def _begin(self) -> None:
        """What is of this process: memory, and how many backward passes there had been at the last update."""
        self._passes = -1
        self._table = Table(self._collection, self.rule)
        self._shrinking: Table | None = None  # what weight decay goes by, once there is some

    def __repr__(self) -> str:
        held = summary.holdings(self._collection._everything())
        rate, updates = f"learning rate {self._rate:g}", summary.counted(self._updates, "update")
        return f"<{self._who} of {self._collection.name()}: {held}; {rate}, {updates}>"

    def _numbers(self, scale: float) -> tuple[float, ...]:
        """What the rule's numbers are in this update; `scale` is what the gradient is to be multiplied by."""
        raise NotImplementedError

    def update(self, s: Number = ONE) -> None:
        """Change all parameters by their gradients, and set the gradients to zero.

        Where the norm of all gradients together, times |s|, exceeds the clipping threshold, they are scaled
        down to it. Of lookup parameters only rows that were used are changed, as long as updates are sparse.

        Warns, once, if there are no gradients since no `backward` has met a parameter of the collection.

        Args:
            s: what gradients are multiplied by.

        Raises:
            GradientError: a gradient is infinite or NaN. No parameter and nothing of the trainer has changed,
                but all gradients are zero, so that training can go on with the next example.
        """
        table = self._table
        if table.version != PARAMETER_ROWS.version:
            table.prepared()
        squared = table.run_if_below(self._threshold, self._numbers(ONE), self._dense) if s is ONE else None
        if squared is None:
            self._apply(self._scale(table.squared_norm(self._dense), s))
        else:
            self._count()
            self._note_gradients(squared)
        self._end_update(None)

    def update_subset(self, updated_params: Iterable[Index], updated_lookups: Iterable[Index], s: Number = ONE) -> None:
        """Change some parameters only. The others keep their values, and their gradients, which count in the norm.

        `set_updated(False)` is usually the better way to train a part.

        Args:
            updated_params: places among the collection's parameters.
            updated_lookups: places among its lookup parameters.
            s: what gradients are multiplied by.
        """
        table = self._table.prepared()
        first = len(table.parameters)
        chosen = [
            *places("update_subset: updated_params", updated_params, table.parameters),
            *(first + place for place in places("update_subset: updated_lookups", updated_lookups, table.lookups)),
        ]
        scale = self._scale(table.squared_norm(self._dense), s)
        try:
            table.choose(chosen)
            self._apply(scale)
        finally:
            table.choose_all()
        self._end_update(chosen)

    def _end_update(self, chosen: list[int] | None) -> None:
        if self._collection._weight_decay:
            self._shrink(chosen)
        if self._without_gradient:
            self._warn_of_nothing()
        self._passes = passes()

    def _shrink(self, chosen: list[int] | None) -> None:
        """Apply the weight decay of one update to all parameters that are trained, or to those chosen."""
        self._shrinking = self._shrinking or Table(self._collection, SHRINK)
        table = self._shrinking.prepared()
        if chosen is None:
            table.choose_all()
        else:
            table.choose(chosen)
        table.run([self._collection._weight_decay], dense=1)

    def _scale(self, squared: float, s: Number) -> float:
        """What gradients of that squared norm are multiplied by: s, or less where that exceeds the threshold."""
        factor = ONE if s is ONE else checked("update: s", s, FINITE)
        if not math.isfinite(squared):
            name = self._table.first_not_finite(self._dense)
            self._table.clear(self._dense)
            raise GradientError(
                f"update: the gradient of {name} is not finite; "
                "no parameter was changed, and all gradients are zero now"
            )
        self._note_gradients(squared)
        norm = abs(factor) * math.sqrt(squared)
        if not 0 < self._threshold < norm:
            return factor
        self._recent_clips += 1
        return factor * self._threshold / norm

    def _note_gradients(self, squared: float) -> None:
        """Note whether there are gradients, of which this is the squared norm."""
        self._without_gradient = not squared
        self._has_trained = self._has_trained or not self._without_gradient

    def _warn_of_nothing(self) -> None:
        """Warn, once, if the update that is done had no gradients because no backward pass has made any.

        Gradients that are 0 are no reason, as those of a hinge loss are where the margin is kept.
        """
        if self._warned:
            return
        met_one = self._has_trained or not met.is_differentiated() or met.is_met(self._collection)
        if self._passes == passes() or not met_one:
            self._warned = True
            warnings.warn(
                f"{self._who}.update: since the last update, no backward() has met a parameter of the collection "
                f"that is trained: there are no gradients{met.others(self._collection)}",
                DynetWarning,
                stacklevel=4,
            )

    def _apply(self, scale: float) -> None:
        try:
            self._table.run(self._numbers(scale), self._dense)
        except OverflowError:
            raise ArgumentError(f"update: learning rate {self._rate} times {scale} is too large") from None
        self._count()

    def _count(self) -> None:
        """Note that an update has been done."""
        self._updates += 1
        self._recent_updates += 1

    def restart(self, learning_rate: Number | None = None) -> None:
        """Begin anew: what the trainer remembers of earlier gradients is forgotten, and so are the epochs.

        The number of updates, which Adam corrects its bias by, goes on, as in DyNet.

        Args:
            learning_rate: the new learning rate; None keeps the one there is.
        """
        if learning_rate is not None:
            self.learning_rate = learning_rate
        self._epoch, self._rate0 = 0.0, self._rate
        self._table = Table(self._collection, self.rule)

    def status(self) -> None:
        """Write to stderr the learning rate and, since the last call, how many updates and clipped ones."""
        text = f"[lr={self._rate:g} clips={self._recent_clips} updates={self._recent_updates}] "
        print(text, end="", file=sys.stderr, flush=True)
        self._recent_clips = self._recent_updates = 0
