"""The two kinds of dropout in recurrent networks."""

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
    """Dropout with one mask for all steps of a sequence, on the inputs and on the previous states.

    Source: Gal and Ghahramani, "A theoretically grounded application of dropout in recurrent neural networks", 2016.
    """

    _rates = (0.0, 0.0)  # of x and h; a third one is of c

    def set_dropouts(self, d: Number, d_r: Number) -> None:
        """Set the dropout rates.

        Args:
            d: the rate for the inputs of each layer, in [0, 1).
            d_r: the rate for the previous states, in [0, 1).
        """
        d, d_r = checked_probability("set_dropouts", d), checked_probability("set_dropouts", d_r)
        self._set_rates((d, *[d_r] * (len(self._rates) - 1)))

    def set_dropout_masks(self, batch_size: Index = 1) -> None:
        """Draw the masks of the sequence that the last `initial_state` in this graph began.

        If this is not called, the first input draws them, with its batch size. If the graph has no such sequence, this
        does nothing.

        Args:
            batch_size: the batch size of the masks. With 1, all batch elements share a mask.
        """
        batch = checked_batch("set_dropout_masks", batch_size)
        if self._run is not None and self._run.version == current().version():
            self._draw_masks(self._run, batch)

    def _draw_masks(self, run: Run, batch: int) -> list[list[Expression | None]]:
        """Draw a mask for the input and for each value of the state of each layer; None where the rate is 0."""
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
        """Return h of layer k with dropout, for steps that are recorded as several ops."""
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
    """Dropout with new masks at each step, on the inputs of layers and on the output, but not on previous states.

    Source: Zaremba, Sutskever and Vinyals, "Recurrent neural network regularization", 2014.
    """

    _rates = (0.0,)

    def _drop_input(self, run: Run, k: int, x: Expression) -> Expression:
        return dropout(x, self._rates[0])

    def _drop_output(self, h: Expression) -> Expression:
        return dropout(h, self._rates[0])
