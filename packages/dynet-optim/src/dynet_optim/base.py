"""`Trainer`, the base class of all trainers (optimizers). It updates parameters, clips gradients and counts updates."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterable
from threading import get_ident

from dynet_core.annotations import Index, Number
from dynet_core.errors import ArgumentError, ArgumentTypeError, DynetWarning, GradientError
from dynet_core.parameter import ParameterCollection, summary
from dynet_core.parameter_rows import PARAMETER_ROWS
from dynet_core.recorder import passes

from . import missing_gradients
from .options import Options
from .other_names import OtherNames
from .rule import SHRINK, Rule
from .settings import FINITE, checked, places
from .state import Resumable
from .table import Table

ONE = 1.0  # the default of the argument `s` of updates. If `s is ONE`, the caller gave no `s`, so it needs no check.


class Counts:
    """What changes at each update of a trainer.

    Attributes:
        updates, recent_updates: how many updates there were, and how many since the last call of `status`.
        recent_clips: how many of the latter were clipped.
        passes: how many backward passes had run when the last update ended; 0 before the first update.
        without_gradient: whether all gradients were 0 in the last update.
        has_trained: whether there was an update in which they were not.
    """

    __slots__ = ("has_trained", "passes", "recent_clips", "recent_updates", "updates", "without_gradient")

    def __init__(self) -> None:
        self.updates = self.recent_updates = self.recent_clips = self.passes = 0
        self.without_gradient = self.has_trained = False


class Trainer(Options, Resumable, OtherNames):
    """The base of all trainers.

    A trainer updates the parameters of a collection, including those that are added later, and keeps the collection
    alive. Parameters with `set_updated(False)` are not changed, and their gradients do not count in the norm of the
    gradients, which clipping uses. Updates are computed in float32, the norm in float64.

    If the collection has a weight decay, every update ends by multiplying all parameters by 1 - decay. This changes all
    rows of lookup parameters, even those that were not used, so it takes long if there are many rows.
    """

    rule: Rule
    _updates = property(lambda self: self._counts.updates, lambda self, count: setattr(self._counts, "updates", count))
    _recent_clips = property(lambda self: self._counts.recent_clips)

    def __init__(self, m: ParameterCollection, rate: Number, edecay: Number):
        if not isinstance(m, ParameterCollection):
            raise ArgumentTypeError(f"{self._who}: expected a ParameterCollection, got {type(m).__name__}")
        super().__init__(rate, edecay)
        self._collection = m
        self._counts = Counts()
        self._warned = False
        self._begin()

    def _begin(self) -> None:
        """Create the attributes that are not pickled with the trainer."""
        self._counts.passes = 0
        self._backward_elsewhere = False  # whether another process of a DataParallel had gradients for this update
        self._table = Table(self._collection, self.rule)
        self._shrinking: Table | None = None  # the table for weight decay, made when it is first needed

    def __repr__(self) -> str:
        held = summary.holdings(self._collection._everything())
        rate, updates = f"learning rate {self._rate:g}", summary.counted(self._counts.updates, "update")
        return f"<{self._who} of {self._collection.name()}: {held}; {rate}, {updates}>"

    def _numbers(self, scale: float) -> tuple[float, ...]:
        """Return the scalars that the rule reads in this update, which multiplies the gradients by `scale`."""
        return self.rule.read(self, scale)

    def update(self, s: Number = ONE) -> None:
        """Change all parameters by their gradients, and set the gradients to zero.

        If the norm of all gradients, times |s|, exceeds the clipping threshold, the gradients are scaled down so that
        this product equals the threshold. With sparse updates (the default), a lookup parameter changes only in the
        rows that were used since the last update.

        If there are no gradients, because no call of `backward` has reached a parameter of the collection, a warning
        is given, but only the first time.

        Args:
            s: a factor by which the gradients are multiplied.

        Raises:
            GradientError: a gradient is infinite or NaN. The parameters and the trainer have not changed, but all
                gradients have been set to zero, so that training can go on with the next example.
        """
        table = self._table
        if table.added != PARAMETER_ROWS.added or table.outdated.thread != get_ident():
            table.prepared()
        squared = table.run_if_below(self._threshold, self._numbers(ONE), self._dense) if s is ONE else None
        if squared is None:
            self._apply(self._scale(table.squared_norm(self._dense), s))
        else:
            self._count()
            self._note_gradients(squared)
        self._end_update(None)

    def update_subset(self, updated_params: Iterable[Index], updated_lookups: Iterable[Index], s: Number = ONE) -> None:
        """Change some parameters only. The others keep their values and gradients.

        The gradients of the others count in the norm that clipping uses. `set_updated(False)` is usually the better way
        to train only some parameters.

        Args:
            updated_params: which parameters to change, as indices in the collection's `parameters_list()`.
            updated_lookups: which lookup parameters to change, as indices in its `lookup_parameters_list()`.
            s: a factor by which the gradients are multiplied.
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
            self._apply(scale, chosen)
        finally:
            table.choose_all()
        self._end_update(chosen)

    def _end_update(self, chosen: list[int] | None) -> None:
        if self._collection._weight_decay:
            self._shrink(chosen)
        if self._counts.without_gradient:
            self._warn_of_missing_gradients()
        self._counts.passes = passes()

    def _shrink(self, chosen: list[int] | None) -> None:
        """Apply weight decay once: multiply parameters by 1 - decay.

        Args:
            chosen: the indices of the parameters to multiply. All parameters of the collection are counted, lookup
                parameters last. None means all parameters that are trained.
        """
        self._shrinking = self._shrinking or Table(self._collection, SHRINK)
        table = self._shrinking.prepared()
        table.choose_all() if chosen is None else table.choose(chosen)
        table.run([self._collection._weight_decay], dense=1)

    def _scale(self, squared: float, s: Number) -> float:
        """Return the factor by which this update multiplies the gradients: `s`, or less if they must be clipped.

        `squared` is the squared norm of the gradients. If it is not finite, set the gradients to zero and raise
        GradientError.
        """
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
        self._counts.recent_clips += 1
        return factor * self._threshold / norm

    def _note_gradients(self, squared: float) -> None:
        """Remember whether any gradient is other than 0. `squared` is the squared norm of all gradients."""
        self._counts.without_gradient = not squared
        self._counts.has_trained |= squared > 0

    def _warn_of_missing_gradients(self) -> None:
        """Warn, once, that this update had no gradients because no backward pass has reached the collection.

        Do not warn if a backward pass has computed gradients and all are 0, which can happen with a hinge loss.
        """
        if not (self._warned or self._backward_elsewhere or self._has_backward()):
            self._warned = True
            in_parallel = sys._getframe(3).f_globals["__name__"].startswith("dynet_optim.")
            warnings.warn(
                f"{self._who}.update: since the last update, no backward() has met a parameter of the collection "
                f"that is trained: there are no gradients{missing_gradients.others(self._collection)}",
                DynetWarning,
                stacklevel=4 + in_parallel,
            )

    def _has_backward(self) -> bool:
        """Return whether a backward pass has reached the collection since the last update, as far as is known."""
        counts = self._counts
        return counts.passes != passes() and (counts.has_trained or missing_gradients.is_reached(self._collection))

    def _apply(self, scale: float, chosen: list[int] | None = None) -> None:
        try:
            self._table.run(self._numbers(scale), self._dense)
        except OverflowError:
            raise ArgumentError(f"update: learning rate {self._rate} times {scale} is too large") from None
        self._table.note_change(chosen)
        self._count()

    def _count(self) -> None:
        """Count one more update. Trainers override this if their learning rate changes with every update."""
        counts = self._counts
        counts.updates += 1
        counts.recent_updates += 1

    def restart(self, learning_rate: Number | None = None) -> None:
        """Forget what the trainer remembers of earlier gradients, and count epochs from 0 again.

        As in DyNet, the number of updates, which Adam's bias correction depends on, is not reset.

        Args:
            learning_rate: the new learning rate; None keeps the current one.
        """
        if learning_rate is not None:
            self.learning_rate = learning_rate
        self._epoch, self._rate0 = 0.0, self._rate
        self._table = Table(self._collection, self.rule)

    def status(self) -> None:
        """Write the learning rate to stderr, and the numbers of updates and of clipped updates since the last call."""
        counts = self._counts
        text = f"[lr={self._rate:g} clips={counts.recent_clips} updates={counts.recent_updates}] "
        print(text, end="", file=sys.stderr, flush=True)
        counts.recent_clips = counts.recent_updates = 0
