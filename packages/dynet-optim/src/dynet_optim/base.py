"""`Trainer`, the base class: one update of all parameters."""

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

from . import missing_gradients
from .options import Options
from .other_names import OtherNames
from .rule import SHRINK, Update
from .settings import FINITE, checked, places
from .state import Resumable
from .table import Table

ONE = 1.0  # the default of `s`, which needs no check


class Trainer(Options, Resumable, OtherNames):
    """The base of all trainers.

    A trainer updates the parameters of a collection, including those that are added later, and keeps the collection
    alive. Parameters with `set_updated(False)` are not changed and do not count in the norm of the gradient. Updates
    are computed in float32, the norm in float64.

    If the collection has a weight decay, every update ends by multiplying all parameters by 1 - decay. This includes
    the rows of lookup parameters that were not used, so it reads and writes whole tables.
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
        """Create the attributes that are not pickled: tables, and how many passes came before the last update."""
        self._passes = -1
        self._table = Table(self._collection, self.rule)
        self._shrinking: Table | None = None  # for weight decay; made when first needed

    def __repr__(self) -> str:
        held = summary.holdings(self._collection._everything())
        rate, updates = f"learning rate {self._rate:g}", summary.counted(self._updates, "update")
        return f"<{self._who} of {self._collection.name()}: {held}; {rate}, {updates}>"

    def _numbers(self, scale: float) -> tuple[float, ...]:
        """Return the numbers of the rule for this update. `scale` is the factor of the gradient."""
        raise NotImplementedError

    def update(self, s: Number = ONE) -> None:
        """Change all parameters by their gradients, and set the gradients to zero.

        If the norm of all gradients, times |s|, exceeds the clipping threshold, they are scaled down to it. With
        sparse updates (the default), only the rows of lookup parameters that were used are changed.

        Warn, once, if there are no gradients because no `backward` has reached a parameter of the collection.

        Args:
            s: the factor of the gradients.

        Raises:
            GradientError: a gradient is infinite or NaN. The parameters and the trainer have not changed, and all
                gradients are zero, so that training can go on with the next example.
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
        """Change some parameters only. The others keep their values and gradients, which count in the norm.

        `set_updated(False)` is usually the better way to train only some parameters.

        Args:
            updated_params: indices in the collection's `parameters_list()`.
            updated_lookups: indices in its `lookup_parameters_list()`.
            s: the factor of the gradients.
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
            self._warn_of_missing_gradients()
        self._passes = passes()

    def _shrink(self, chosen: list[int] | None) -> None:
        """Apply the weight decay of one update to all trained parameters, or to the chosen ones."""
        self._shrinking = self._shrinking or Table(self._collection, SHRINK)
        table = self._shrinking.prepared()
        table.choose_all() if chosen is None else table.choose(chosen)
        table.run([self._collection._weight_decay], dense=1)

    def _scale(self, squared: float, s: Number) -> float:
        """Return the factor of the gradients: s, or less to clip them. `squared` is their squared norm.

        Raise GradientError if that is not finite.
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
        self._recent_clips += 1
        return factor * self._threshold / norm

    def _note_gradients(self, squared: float) -> None:
        """Remember whether there are gradients; `squared` is their squared norm."""
        self._without_gradient = not squared
        self._has_trained = self._has_trained or not self._without_gradient

    def _warn_of_missing_gradients(self) -> None:
        """Warn, once, if this update had no gradients because no backward pass has reached the collection.

        Do not warn if gradients were computed and are 0, as a hinge loss has them when the margin is kept.
        """
        if self._warned:
            return
        reached = self._has_trained or missing_gradients.is_reached(self._collection)
        if self._passes == passes() or not reached:
            self._warned = True
            in_parallel = sys._getframe(3).f_globals["__name__"].startswith("dynet_optim.")
            warnings.warn(
                f"{self._who}.update: since the last update, no backward() has met a parameter of the collection "
                f"that is trained: there are no gradients{missing_gradients.others(self._collection)}",
                DynetWarning,
                stacklevel=4 + in_parallel,
            )

    def _apply(self, scale: float) -> None:
        try:
            self._table.run(self._numbers(scale), self._dense)
        except OverflowError:
            raise ArgumentError(f"update: learning rate {self._rate} times {scale} is too large") from None
        self._count()

    def _count(self) -> None:
        """Count an update."""
        self._updates += 1
        self._recent_updates += 1

    def restart(self, learning_rate: Number | None = None) -> None:
        """Forget earlier gradients, and count epochs from 0 again.

        As in DyNet, the number of updates, which Adam's bias correction depends on, is not reset.

        Args:
            learning_rate: the new learning rate; None keeps the present one.
        """
        if learning_rate is not None:
            self.learning_rate = learning_rate
        self._epoch, self._rate0 = 0.0, self._rate
        self._table = Table(self._collection, self.rule)

    def status(self) -> None:
        """Write the learning rate to stderr, with the numbers of updates and of clipped updates since the last call."""
        text = f"[lr={self._rate:g} clips={self._recent_clips} updates={self._recent_updates}] "
        print(text, end="", file=sys.stderr, flush=True)
        self._recent_clips = self._recent_updates = 0
