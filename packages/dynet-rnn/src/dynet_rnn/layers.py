"""How a builder's layers are recorded: for states and inputs of given shapes, the integers that a step consists of.

They follow from shapes alone, so they are worked out once and found by one look-up afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dynet_core.dim import Dim
from dynet_core.errors import ShapeError
from dynet_core.expression import Expression
from dynet_core.graph import PinnedGraph
from dynet_ops.layouts import of_rank
from dynet_ops.network.cells import Cell, Previous, sequence_signature

START: Previous = ()


class Layers:
    """The weights of all layers, as expressions of one graph or of every graph.

    For each layer, `inputs` are the pairs b, W of its projection and `weights` what recurs.
    """

    def __init__(self, cell: Cell, inputs: list[list[Expression]], weights: list[list[Expression]]):
        self.cell: Cell = cell
        self.inputs: list[list[Expression]] = inputs
        self.weights: list[list[Expression]] = weights
        self.hidden: int = sum(len(bias) for bias in inputs[0][::2]) // len(cell.gates)
        self.forms: dict[tuple[tuple[Previous, ...], tuple[int, ...]], Form] = {}

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def input_size(self) -> int:
        """How many numbers the first layer takes."""
        return self.inputs[0][1].type.columns

    def step(self, k: int, x: Dim, previous: Previous) -> tuple[tuple[int, ...], int]:
        """What a record of layer k begins with if it has one input, up to the state before; and the batch size."""
        inputs, weights = self.inputs[k], self.weights[k]
        batch = common_batch(x, previous)
        signature = sequence_signature(
            self.cell, self.hidden, batch, previous, x.plain, len(inputs) // 2, *[e.type for e in inputs + weights]
        )
        states = 1 if isinstance(previous, int) else len(previous)
        operands = [e.at for e in inputs + weights]
        return (signature.at, len(operands) + states + 1, *operands), batch

    def record(
        self, graph: PinnedGraph, k: int, x: Expression, state: Sequence[tuple[Any, int]], rank: int
    ) -> Expression:
        """Record layer k's step from ((batch size, offset), place) for each value of the state; its h."""
        head, batch = self.step(k, x.type, tuple([shape for shape, _ in state]))
        return graph.add(self.vector(batch, rank), 2, head, (*[place for _, place in state], x.at))

    def vector(self, batch: int, rank: int) -> Dim:
        """The Dim of a value of the state."""
        return Dim.of(of_rank((self.hidden,), rank), batch)

    def form(self, previous: tuple[Previous, ...], ranks: tuple[int, ...]) -> Form:
        """The form of states of these shapes and ranks, one for each layer."""
        found = self.forms.get((previous, ranks))
        if found is None:
            found = self.forms[previous, ranks] = Form(self, previous, ranks)
        return found


class Form:
    """States of one shape, given for each layer, and how the next step is recorded for inputs of each Dim.

    Where the state is the result of a step, `dims` are those of each layer's h and `top` is the last. `starts` says
    that no state comes before. `ranks` are how many dimensions each layer's results have: 1, or where a sequence began
    with columns (m, 1) the columns' (as in DyNet).
    """

    __slots__ = ("dims", "known", "layers", "previous", "ranks", "sequences", "starts", "top")

    def __init__(self, layers: Layers, previous: tuple[Previous, ...], ranks: tuple[int, ...]):
        self.layers: Layers = layers
        self.previous: tuple[Previous, ...] = previous
        self.ranks: tuple[int, ...] = ranks
        self.dims: list[Dim] = [
            layers.vector(batch, rank) for batch, rank in zip(previous, ranks) if isinstance(batch, int)
        ]
        self.top: Dim | None = self.dims[-1] if self.dims else None
        self.starts: bool = not any(previous)
        self.known: dict[Dim, tuple[Any, ...]] = {}
        self.sequences: dict[Dim, tuple[Any, ...]] = {}

    def steps(self, x: Dim) -> tuple[tuple[int, ...], tuple[tuple[int, tuple[int, ...]], ...], Form]:
        """How a step is recorded; raises ShapeError where the input does not fit.

        What the first layer's record begins with; for each further layer, its number and what its record begins with;
        and the form of the next state.
        """
        found = self.known.get(x)
        if found is None:
            found = self.known[x] = self._steps(x)
        return found

    def sequence(self, x: Dim) -> tuple[tuple[tuple[int, int, int, tuple[int, ...]], ...], Form]:
        """The same of many steps that are recorded at once.

        For each layer, its number, its signature, what the number of steps is added to, and what comes before the
        state; and the form of states afterwards.
        """
        first, above, form = self.steps(x)
        heads = [(layer, head[0], head[1] - 1, head[2:]) for layer, head in ((0, first), *above)]
        found = self.sequences[x] = tuple(heads), form
        return found

    def _steps(self, x: Dim) -> tuple[Any, ...]:
        layers, dim = self.layers, x.plain
        check_vector("add_input: the input", x, "the network", layers.input_size)
        heads, batches = [], []
        for k, previous in enumerate(self.previous):
            head, batch = layers.step(k, dim, previous)
            heads.append((k, head))
            batches.append(batch)
            dim = Dim.of((layers.hidden,), batch)
        return heads[0][1], tuple(heads[1:]), layers.form(tuple(batches), self.ranks)


def check_vector(what: str, x: Dim, taker: str, size: int) -> None:
    """Raise if an input is no vector of that size, trailing 1s aside."""
    if of_rank(x.dims, 1) != (size,):
        columns = f"; reshape it to {(size,)} x {x.columns}" if x.rows == size and x.batch == 1 else ""
        raise ShapeError(f"{what} is {x!r}, {taker} takes {(size,)}{columns}")


def common_batch(x: Dim, previous: Previous) -> int:
    """The batch size of the state after an input; a batch of 1 goes with any other."""
    sizes = [previous] if isinstance(previous, int) else [size for size, _ in previous]
    batch = max([x.batch, *sizes])
    if any(size not in (1, batch) for size in (x.batch, *sizes)):
        raise ShapeError(f"add_input: the input is {x!r}, the state before has batch size {max(sizes)}")
    return batch
