"""The records of the layers of a builder.

The integers of a record depend only on the shapes of the state and of the input. They are computed once per combination
of shapes; later steps look them up.
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
    """The parameters of all layers, as expressions.

    For each layer, `inputs` are the pairs b, W of the projection, and `weights` are the recurrent parameters.
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
        """The size of an input of the first layer."""
        return self.inputs[0][1].type.columns

    def step(self, k: int, x: Dim, previous: Previous) -> tuple[tuple[int, ...], int]:
        """Return the start of a record of layer k with one input, up to the previous state; and the batch size."""
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
        """Record a step of layer k, and return its h.

        Args:
            state: ((batch size, offset), node) for each value of the previous state.
            rank: the number of dimensions of h.
        """
        head, batch = self.step(k, x.type, tuple([shape for shape, _ in state]))
        return graph.add(self.vector(batch, rank), 2, head, (*[place for _, place in state], x.at))

    def vector(self, batch: int, rank: int) -> Dim:
        """Return the Dim of a value of the state."""
        return Dim.of(of_rank((self.hidden,), rank), batch)

    def form(self, previous: tuple[Previous, ...], ranks: tuple[int, ...]) -> Form:
        """Return the form of states with these shapes and ranks, one of each for each layer."""
        found = self.forms.get((previous, ranks))
        if found is None:
            found = self.forms[previous, ranks] = Form(self, previous, ranks)
        return found


class Form:
    """The shapes of a state, and the records of the next step for each Dim of an input.

    Attributes:
        previous: for each layer, where the state is (see `Previous`).
        ranks: the number of dimensions of h in each layer: 1, or more if the initial vectors had trailing 1s, such as
            (m, 1). The results keep them, as in DyNet.
        dims: if the state is the result of a step, the Dim of h in each layer.
        top: the last of `dims`, or None.
        starts: whether there is no previous state.
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
        """Return how to record a step for an input with this Dim. Raise ShapeError if the input does not fit.

        Returns:
            (head of the first layer, (layer, head) for each layer above it, form of the next state). A head is the
            first integers of a record: signature, number of operands, parameters. State and input follow.
        """
        found = self.known.get(x)
        if found is None:
            found = self.known[x] = self._steps(x)
        return found

    def sequence(self, x: Dim) -> tuple[tuple[tuple[int, int, int, tuple[int, ...]], ...], Form]:
        """Return the records of a sequence of steps for inputs with this Dim.

        Returns:
            ((layer, signature, number of operands without inputs, operands before the state) for each layer, form of
            the next state).
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
    """Raise ShapeError if x is not a vector of this size. Trailing 1s are allowed.

    Args:
        what: what x is, for the error.
        x: the Dim to check.
        taker: who takes the vector, for the error.
        size: the expected size.
    """
    if of_rank(x.dims, 1) != (size,):
        columns = f"; reshape it to {(size,)} x {x.columns}" if x.rows == size and x.batch == 1 else ""
        raise ShapeError(f"{what} is {x!r}, {taker} takes {(size,)}{columns}")


def common_batch(x: Dim, previous: Previous) -> int:
    """Return the batch size of the state after an input. A batch of 1 fits any other."""
    sizes = [previous] if isinstance(previous, int) else [size for size, _ in previous]
    batch = max([x.batch, *sizes])
    if any(size not in (1, batch) for size in (x.batch, *sizes)):
        raise ShapeError(f"add_input: the input is {x!r}, the state before has batch size {max(sizes)}")
    return batch
