"""What is known of recording the layers of a recurrent network, beyond a graph.

The graph stores each operation as a *record*, a list of integers: the number of the operation's *signature*, which
says what is computed for which shapes; the number of operands; then the operands, which are numbers of nodes and of
parameters. A step of one layer is one record, and so is a whole sequence. A shape is a `Dim`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dynet_core.dim import Dim
from dynet_core.errors import ShapeError
from dynet_core.expression import Expression
from dynet_core.pinned_graph import PinnedGraph
from dynet_ops.layouts import of_rank
from dynet_ops.network.cell_description import Cell
from dynet_ops.network.cells import Previous, sequence_signature

Head = tuple[int, int, tuple[int, ...]]
"""The number of a signature, the number of operands without inputs, the numbers of the parameters."""


class Layers:
    """The layers of a network whose parameters have certain numbers.

    Args:
        cell: the equations of one step of a layer.
        sizes: the sizes of an input of the network, and of h.
        parameters: for each layer, what the cell reads, in the order of `Cell.pairs` and then `Cell.weights`.

    Attributes:
        start: the `Form` of the state before the first input.
    """

    def __init__(self, cell: Cell, sizes: tuple[int, int], parameters: list[list[Expression]]):
        self.cell, (self.size, self.hidden) = cell, sizes
        self._read = [(tuple([x.at for x in layer]), [x.type for x in layer]) for layer in parameters]
        self._forms: dict[tuple[tuple[Previous, ...], tuple[int, ...]], Form] = {}
        self.start: Form = self.form(((),) * len(self), (1,) * len(self))

    def __len__(self) -> int:
        return len(self._read)

    def head(self, k: int, x: Dim, previous: Previous) -> tuple[Head, int]:
        """Return how records of layer k begin, and the batch size of the new state.

        `x` is the plain Dim of the input, `previous` says where the state before is: an entry of `Form.previous`.
        """
        numbers, dims = self._read[k]
        batch = common_batch(x, previous)
        signature = sequence_signature(self.cell, self.hidden, batch, previous, x, *dims)
        return (signature.at, signature.operands, numbers), batch

    def record(
        self, graph: PinnedGraph, k: int, x: Expression, previous: Previous, places: Sequence[int], rank: int
    ) -> Expression:
        """Record a step of layer k, and return the new h, of `rank` dimensions. `places` are the nodes of the state."""
        (signature, count, numbers), batch = self.head(k, x.type.plain, previous)
        return graph.add(self.vector(batch, rank), 2, (signature, count + 1, *numbers), (*places, x.at))

    def vector(self, batch: int, rank: int) -> Dim:
        """Return the shape of h and of c, with this batch size: `rank` dimensions, all of size 1 but the first."""
        return Dim.of(of_rank((self.hidden,), rank), batch)

    def form(self, previous: tuple[Previous, ...], ranks: tuple[int, ...]) -> Form:
        """Return the `Form` with these `previous` and `ranks`. Equal arguments always give the same object."""
        found = self._forms.get((previous, ranks))
        if found is None:
            found = self._forms[previous, ranks] = Form(self, previous, ranks)
        return found


class Form:
    """The shapes of a state. States with the same shapes share one form.

    Attributes:
        previous: for each layer, the batch size of the state, and where it is in memory. An int is the batch size of a
            state that a step has computed: one node holds all of its values. A tuple means that the state was set to
            given vectors: each value, such as h or c, has its own node, and the tuple has (batch size, offset in
            floats within the node) for each value. It is empty at the start of a sequence, where there is no state.
        ranks: the number of dimensions of h in each layer: 1, or more if the initial vectors had trailing 1s, such as
            (m, 1). The results keep them, as in DyNet.
        dims: the Dim of h in each layer if the state is the result of a step; else empty.
        known: the results of `heads` so far, by the Dim of the input.
    """

    __slots__ = ("_layers", "dims", "known", "previous", "ranks")

    def __init__(self, layers: Layers, previous: tuple[Previous, ...], ranks: tuple[int, ...]):
        self._layers, self.previous, self.ranks = layers, previous, ranks
        self.dims: list[Dim] = [
            layers.vector(batch, rank) for batch, rank in zip(previous, ranks) if isinstance(batch, int)
        ]
        self.known: dict[Dim, tuple[Any, Form]] = {}

    def heads(self, x: Dim) -> tuple[tuple[tuple[int, int, int, tuple[int, ...]], ...], Form]:
        """Return (layer, *head) of each layer for inputs of the Dim x, and the form of the state after one.

        Raises:
            ShapeError: x does not fit.
        """
        found = self.known.get(x)
        if found is None:
            layers, dim = self._layers, x.plain
            check_vector("add_input: the input", x, "the network", layers.size)
            heads, batches = [], []
            for k, previous in enumerate(self.previous):
                head, batch = layers.head(k, dim, previous)
                heads.append((k, *head))
                batches.append(batch)
                dim = Dim.of((layers.hidden,), batch)
            found = self.known[x] = tuple(heads), layers.form(tuple(batches), self.ranks)
        return found


def check_vector(what: str, x: Dim, taker: str, size: int) -> None:
    """Raise ShapeError if x is not the Dim of a vector of this size. Trailing dimensions of size 1 are allowed.

    Args:
        what: words for the vector in the error message, such as "add_input: the input".
        x: the Dim to check.
        taker: words for what reads the vector in the error message, such as "the network".
        size: the expected size.
    """
    if of_rank(x.dims, 1) != (size,):
        columns = f"; reshape it to {(size,)} x {x.columns}" if x.rows == size and x.batch == 1 else ""
        raise ShapeError(f"{what} is {x!r}, {taker} takes {(size,)}{columns}")


def common_batch(x: Dim, previous: Previous) -> int:
    """Return the batch size of the state after a step: that of the input or of the state before, whichever is larger.

    Raises:
        ShapeError: the batch sizes differ, and neither is 1.
    """
    sizes = [previous] if isinstance(previous, int) else [size for size, _ in previous]
    batch = max([x.batch, *sizes])
    if any(size not in (1, batch) for size in (x.batch, *sizes)):
        raise ShapeError(f"add_input: the input is {x!r}, the state before has batch size {max(sizes)}")
    return batch
