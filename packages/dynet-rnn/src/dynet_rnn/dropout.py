"""Where builders apply dropout."""

from __future__ import annotations

from typing import Any

from dynet_core.annotations import Index, Number
from dynet_core.dim import checked_batch
from dynet_core.expression import Expression
from dynet_core.graph import current
from dynet_ops.elementwise.arithmetic import cmult
from dynet_ops.input.constants import ones
from dynet_ops.random.dropouts import checked_probability, dropout

from .base import _RNNBuilder
from .state import RNNState, Run


class Variational(_RNNBuilder):
    """Builders whose dropout has one mask for all steps of a sequence, for inputs and for the states that recur.

    Source: Gal and Ghahramani, "A theoretically grounded application of dropout in recurrent neural networks", 2016.
    """

    _rates = (0.0, 0.0)  # for x and h; a third is for c

    def set_dropouts(self, d: Number, d_r: Number) -> None:
        """Set the rates of dropout.

        Args:
            d: for the inputs of each layer, in [0, 1).
            d_r: for the states that recur, in [0, 1).
        """
        d, d_r = checked_probability("set_dropouts", d), checked_probability("set_dropouts", d_r)
        self._set_rates((d, *[d_r] * (len(self._rates) - 1)))

    def set_dropout_masks(self, batch_size: Index = 1) -> None:
        """Draw the masks of the sequence that `initial_state` began last in this graph.

        Without it, or before the graph has such a sequence, they are drawn at the first input, one for each element of
        its batch.

        Args:
            batch_size: each batch element gets a mask of its own; with 1 all share one.
        """
        batch = checked_batch("set_dropout_masks", batch_size)
        if self._run is not None and self._run.version == current().version():
            self._draw_masks(self._run, batch)

    def _draw_masks(self, run: Run, batch: int) -> list[list[Expression | None]]:
        layers, size, hidden, *_ = self._spec
        run.masks = [
            [
                dropout(ones((size if k == value == 0 else hidden,), batch), rate) if rate else None
                for value, rate in enumerate(self._rates)
            ]
            for k in range(layers)
        ]
        return run.masks

    def _drop_input(self, run: Run, k: int, x: Expression) -> Expression:
        return _masked(x, (run.masks or self._draw_masks(run, x.type.batch))[k][0])

    def _drop_h(self, run: Run, k: int, h: Expression) -> Expression:
        """h of layer k with dropout, for steps that are put together of operations."""
        return _masked(h, run.masks[k][1])

    def _drop_state(self, state: RNNState, k: int, before: list[Any]) -> list[Any]:
        dropped = list(before)
        for value, mask in zip(range(len(before)), state._run.masks[k][1:]):
            if mask is not None:
                x = cmult(state.vectors(value)[k], mask)
                dropped[value] = (x.type.batch, 0), x.at
        return dropped


def _masked(x: Expression, mask: Expression | None) -> Expression:
    return x if mask is None else cmult(x, mask)


class Vertical(_RNNBuilder):
    """Builders whose dropout draws anew at each step, for inputs and the output; what recurs is left alone.

    Source: Zaremba, Sutskever and Vinyals, "Recurrent neural network regularization", 2014.
    """

    _rates = (0.0,)

    def _drop_input(self, run: Run, k: int, x: Expression) -> Expression:
        return dropout(x, self._rates[0])

    def _drop_output(self, h: Expression) -> Expression:
        return dropout(h, self._rates[0])
