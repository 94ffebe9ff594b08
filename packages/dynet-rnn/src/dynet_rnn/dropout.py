"""The two kinds of dropout in recurrent networks: one mask for a whole sequence, or new masks at each step.

A mask is a vector of random factors by which an input or a state is multiplied. The factor of a dropped value is 0.
"""

from __future__ import annotations

import functools
from typing import Any

from dynet_core.annotations import Index, Number
from dynet_core.dim import Dim, checked_batch
from dynet_core.expression import Expression
from dynet_core.keyword_hints import method
from dynet_ops.elementwise.arithmetic import cmult
from dynet_ops.input.constants import ones
from dynet_ops.random.dropouts import checked_probability, dropout

from .base import _RNNBuilder
from .layers import Form
from .run import SequenceRun
from .state import RNNState
from .steps import Steps


class Variational(_RNNBuilder):
    """Base of builders whose dropout uses the same masks at all steps of a sequence.

    A mask is a vector of random factors, 0 for dropped values. For each layer, one mask multiplies the inputs and
    another one the previous states.

    Source: Gal and Ghahramani, "A theoretically grounded application of dropout in recurrent neural networks", 2016.
    """

    _rates = (0.0, 0.0)  # the rates for the input x and for h; a subclass may have a third rate, for c

    @method(d_h="d_r")
    def set_dropouts(self, d: Number, d_r: Number) -> None:
        """Set one dropout rate for inputs and another one for previous states.

        Args:
            d: the probability of dropping a value of the input of a layer, in [0, 1).
            d_r: the probability of dropping a value of the previous state of a layer, in [0, 1). `SimpleRNNBuilder` of
                DyNet 2.1 calls it d_h.
        """
        d, d_r = checked_probability("set_dropouts", d), checked_probability("set_dropouts", d_r)
        self._set_rates((d, *[d_r] * (len(self._rates) - 1)))

    def set_dropout_masks(self, batch_size: Index = 1) -> None:
        """Draw new dropout masks for the sequence that the last call of `initial_state` has begun.

        If a program does not call this, the masks are drawn when the first input of the sequence is read, with the
        batch size of this input. If `initial_state` has not been called in the current graph, nothing happens.

        Args:
            batch_size: the batch size of the masks. With 1, all batch elements share a mask.
        """
        batch = checked_batch("set_dropout_masks", batch_size)
        if self._run is not None and self._run.is_current():
            self._draw_masks(self._run, batch)

    def _draw_masks(self, run: SequenceRun, batch: int) -> Steps:
        """Draw the masks of a sequence, make them `run.masks`, and return how to record steps with them.

        Args:
            run: what the states of the sequence have in common.
            batch: the batch size of the masks.
        """
        kind, masks = _kind_and_masks(*self._spec[:3], self._rates, batch)
        drawn = tuple([dropout(ones(dims, batch), rate) for dims, rate in masks])
        steps = run.steps = Steps(run.layers, kind, drawn)
        run.masks_drawn.append(steps)
        return steps

    def _steps_of(self, run: SequenceRun, form: Form, x: Dim) -> Steps | None:
        return self._steps(run, x.batch) if x in form.known and run.is_current() else None

    def _steps(self, run: SequenceRun, batch: int) -> Steps:
        return run.newest_masks() or self._draw_masks(run, batch)

    def _drop_input(self, run: SequenceRun, k: int, x: Expression) -> Expression:
        return _masked(x, self._steps(run, x.type.batch).by_layer()[k][0])

    def _drop_h(self, run: SequenceRun, k: int, h: Expression) -> Expression:
        """Return h, the previous output of layer k, after dropout.

        Only networks with layer normalisation use this, because they compute a step by operations on expressions. In
        all other networks, `_drop_state` applies dropout.
        """
        return _masked(h, run.masks[k][1])

    def _drop_state(self, state: RNNState, k: int, before: list[Any]) -> list[Any]:
        dropped = list(before)
        for value, mask in zip(range(len(before)), state._run.masks[k][1:]):
            if mask is not None:
                x = cmult(state.vectors(value)[k], mask)
                dropped[value] = (x.type.batch, 0), x.at
        return dropped


@functools.lru_cache
def _kind_and_masks(
    layers: int, size: int, hidden: int, rates: tuple[float, ...], batch: int
) -> tuple[tuple[int, ...], list[tuple[tuple[int], float]]]:
    """Return the argument `kind` of `Steps`, and the dimensions and the dropout rate of each mask of a sequence."""
    sizes = [(size if k == value == 0 else hidden, rate) for k in range(layers) for value, rate in enumerate(rates)]
    return (batch, *map(bool, rates)), [((n,), rate) for n, rate in sizes if rate]


def _masked(x: Expression, mask: Expression | None) -> Expression:
    return x if mask is None else cmult(x, mask)


class Vertical(_RNNBuilder):
    """Base of builders whose dropout draws new masks at each step.

    It drops values of the inputs of each layer and of the output of the last layer, but not of previous states.

    Source: Zaremba, Sutskever and Vinyals, "Recurrent neural network regularization", 2014.
    """

    _rates = (0.0,)  # one rate, for inputs and for the output of the last layer

    def _drop_input(self, run: SequenceRun, k: int, x: Expression) -> Expression:
        return dropout(x, self._rates[0])

    def _drop_output(self, h: Expression) -> Expression:
        return dropout(h, self._rates[0])
