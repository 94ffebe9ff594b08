"""The state of a stack of networks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dynet_core.expression import Expression

from .state import RNNState


class StackedRNNState:
    """The states of several networks. Each network reads the output of the one before.

    Args:
        states: a state for each network.
        prev: the stacked state before the last input.
    """

    def __init__(self, states: Sequence[RNNState], prev: StackedRNNState | None = None):
        self.states: list[RNNState] = list(states)
        self._prev = prev

    def __repr__(self) -> str:
        return f"<{len(self.states)} states, one on top of the other: {', '.join(map(repr, self.states))}>"

    def add_input(self, x: Expression) -> StackedRNNState:
        """Return the state after one more input."""
        states = []
        for state in self.states:
            states.append(state.add_input(x))
            x = states[-1].output()
        return StackedRNNState(states, self)

    def add_inputs(self, xs: Iterable[Expression]) -> list[StackedRNNState]:
        """Add inputs one by one, and return the state after each."""
        state, found = self, []
        for x in xs:
            state = state.add_input(x)
            found.append(state)
        return found

    def transduce(self, xs: Iterable[Expression]) -> list[Expression]:
        """Return the output of the last network after each input."""
        for state in self.states:
            xs = state.transduce(xs)
        return list(xs)

    def output(self) -> Expression:
        """The output of the last network."""
        return self.states[-1].output()

    def h(self) -> list[tuple[Expression, ...]]:
        """h of each network."""
        return [state.h() for state in self.states]

    def s(self) -> list[tuple[Expression, ...]]:
        """s of each network."""
        return [state.s() for state in self.states]

    def prev(self) -> StackedRNNState | None:
        """The state before the last input."""
        return self._prev
