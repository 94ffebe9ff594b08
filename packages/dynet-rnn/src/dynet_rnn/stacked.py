"""`StackedRNNState`: the state of several recurrent networks, each of which reads the outputs of the one before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dynet_core.graph.expression import Expression

from .state import RNNState


class StackedRNNState:
    """The states of several stacked recurrent networks: the first reads the inputs, each other one the one before.

    Args:
        states: a state for each network, first network first.
        prev: the `StackedRNNState` before the last input; None if nothing was read.
    """

    def __init__(self, states: Sequence[RNNState], prev: StackedRNNState | None = None):
        self.states: list[RNNState] = list(states)
        self._prev = prev

    def __repr__(self) -> str:
        return f"<{len(self.states)} states, one on top of the other: {', '.join(map(repr, self.states))}>"

    def add_input(self, x: Expression) -> StackedRNNState:
        """Read one more input, x, and return the state after it. Only the first network reads x itself."""
        states = []
        for state in self.states:
            states.append(state.add_input(x))
            x = states[-1].output()
        return StackedRNNState(states, self)

    def add_inputs(self, xs: Iterable[Expression]) -> list[StackedRNNState]:
        """Read inputs one by one, as `add_input` does, and return the state after each of them."""
        state, found = self, []
        for x in xs:
            state = state.add_input(x)
            found.append(state)
        return found

    def transduce(self, xs: Iterable[Expression]) -> list[Expression]:
        """Read inputs, and return the output of the last network after each of them."""
        for state in self.states:
            xs = state.transduce(xs)
        return list(xs)

    def output(self) -> Expression:
        """Return the output of the last network."""
        return self.states[-1].output()

    def h(self) -> list[tuple[Expression, ...]]:
        """Return what `RNNState.h` returns for each network: h of each of its layers."""
        return [state.h() for state in self.states]

    def s(self) -> list[tuple[Expression, ...]]:
        """Return what `RNNState.s` returns for each network: all vectors of its state."""
        return [state.s() for state in self.states]

    def prev(self) -> StackedRNNState | None:
        """Return the state before the last input; None if nothing was read."""
        return self._prev
