"""The two kinds of dropout in recurrent networks: the same masks at all steps of a sequence, or new masks at each."""

from __future__ import annotations

from dynet_core.annotations import Index, Number
from dynet_core.dim import checked_batch
from dynet_core.graph.expression import Expression
from dynet_core.messages.hints import method_with_hints
from dynet_ops.elementwise.arithmetic import cmult
from dynet_ops.input.inputs import ones
from dynet_ops.network.cells import StateSource
from dynet_ops.random.draws import checked_probability, dropout

from .sequences import RNNState, SequenceRun, Steps, _RNNBuilder


class Variational(_RNNBuilder):
    """Base of builders whose dropout uses the same masks at all steps of a sequence.

    A mask is a vector of random factors, 0 for dropped values. In each layer, one mask multiplies the inputs and
    another the previous states.

    Source: Gal and Ghahramani, "A theoretically grounded application of dropout in recurrent neural networks", 2016.
    """

    _rates = (0.0, 0.0)  # the rates for the input x and for h; a subclass may have a third rate, for c

    @method_with_hints(d_h="d_r")
    def set_dropouts(self, d: Number, d_r: Number) -> None:
        """Set one dropout rate for inputs and another for previous states.

        Args:
            d: the probability of dropping a value of the input of a layer, in [0, 1).
            d_r: the same for the previous state of a layer. `SimpleRNNBuilder` of DyNet 2.1 calls it d_h.
        """
        d, d_r = checked_probability("set_dropouts", d), checked_probability("set_dropouts", d_r)
        self._set_dropout_rates((d, *[d_r] * (len(self._rates) - 1)))

    def set_dropout_masks(self, batch_size: Index = 1) -> None:
        """Draw new dropout masks for the sequence that the last call of `initial_state` began.

        Without this call, masks are drawn when the sequence's first input is read, with its batch size. If
        `initial_state` has not been called in the current graph, nothing happens.

        Args:
            batch_size: the batch size of the masks. With 1, all batch elements share a mask.
        """
        batch, run = checked_batch("set_dropout_masks", batch_size), self._run
        if run and run.is_current() and not self._runs_only_cells():
            self._draw_masks(run, batch)

    def _draw_masks(self, run: SequenceRun, batch: int) -> Steps:
        rates, (layers, size, hidden, *_) = self._rates, self._spec
        dropout_key, sizes = (batch, *map(bool, rates)), [size, *[hidden] * (layers * len(rates) - 1)]
        masks = tuple([dropout(ones((n,), batch), rate) for n, rate in zip(sizes, rates * layers) if rate])
        steps = run.steps = Steps(dropout_key, self._latest.step_table(dropout_key), masks)
        run.masked_steps.append(steps)
        return steps

    def _steps_for_batch(self, run: SequenceRun, batch: int) -> Steps | None:
        if run.steps and not run.steps.dropout:
            return run.steps
        for steps in reversed(run.masked_steps):  # `cg_revert` may have removed newer masks
            if run.graph.watch is None or all(map(run.graph.holds, steps.masks)):
                return steps
        return self._draw_masks(run, batch)

    def _masked(self, run: SequenceRun, k: int, mask_kind: int, x: Expression) -> Expression:
        """Return x after dropout. `mask_kind` says what x is: the input of layer k (0), its h (1) or its c (2)."""
        mask = run.steps.mask(k, mask_kind)  # type: ignore[union-attr]  # masks are drawn before a step
        return x if mask is None else cmult(x, mask)

    def _input_after_dropout(self, run: SequenceRun, k: int, x: Expression) -> Expression:
        return self._masked(run, k, 0, x)

    def _state_after_dropout(self, state: RNNState, k: int) -> tuple[StateSource, tuple[int, ...]]:
        state_source, nodes = super()._state_after_dropout(state, k)
        if state_source == () or not any(state._run.steps.dropout[2:]):  # type: ignore[union-attr]
            return state_source, nodes
        values = state._run.layers.value_indices
        if isinstance(state_source, int):  # one node has all values: make (batch size, offset) for each value
            state_source = tuple([(state_source, value * self._spec[2] * state_source) for value in values])
            nodes = nodes * len(values)
        entries = [*zip(state_source, nodes)]
        for value in values:
            x = state._vectors_of(value)[k]
            if (y := self._masked(state._run, k, value + 1, x)) is not x:
                entries[value] = (y.type.batch, 0), y.at
        state_source, nodes = zip(*entries)
        return state_source, nodes


class Vertical(_RNNBuilder):
    """Base of builders whose dropout draws new masks at each step.

    Dropout applies to the inputs of each layer and to the output of the last layer, but not to previous states.

    Source: Zaremba, Sutskever and Vinyals, "Recurrent neural network regularization", 2014.
    """

    _rates = (0.0,)  # one rate, for inputs and for the output of the last layer

    def _first_steps(self) -> Steps:
        """Set the rates of the `Steps` that all sequences share to the current rates, and return these `Steps`."""
        latest, rates = self._latest, self._rates if any(self._rates) else ()
        latest.steps_without_masks.dropout, latest.steps_without_masks.table = rates, latest.step_table(rates)
        return latest.steps_without_masks

    def _input_after_dropout(self, run: SequenceRun, k: int, x: Expression) -> Expression:
        return dropout(x, self._rates[0]) if self._rates[0] else x

    def _output_after_dropout(self, h: Expression) -> Expression:
        return dropout(h, self._rates[0]) if self._rates[0] else h
