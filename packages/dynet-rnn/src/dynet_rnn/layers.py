"""How the layers of a recurrent network are recorded in the graph.

The graph stores each operation as a *record*, a list of integers: the number of the operation's *signature*, which
says what is computed for which shapes; the number of operands; then the operands, which are numbers of nodes and of
parameters. A step of one layer is one record. Its *head* is all that comes before the nodes of the previous state and
of the input.

The head for a layer depends only on the shapes of the state and of the input. It is computed once for each combination
of shapes; later steps look it up in a `Form`. A shape is a `Dim`: dimensions and batch size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dynet_core.dim import Dim
from dynet_core.errors import ShapeError
from dynet_core.expression import Expression
from dynet_core.pinned_graph import PinnedGraph
from dynet_core.recorder import ANY_GRAPH
from dynet_ops.layouts import of_rank
from dynet_ops.network.cell_description import Cell
from dynet_ops.network.cells import Previous, sequence_signature

START: Previous = ()  # the previous state of the first step of a sequence: there is none


class Layers:
    """The parameters of all layers, as expressions, and methods that make records with them.

    Attributes:
        cell: the equations of one step of a layer.
        inputs: for each layer, the parameters that are applied to the input x: b, W, b, W, ... Each pair gives b + W x
            for one gate, or for several, one below the other.
        weights: for each layer, the parameters that are applied to the previous state.
        hidden: the size of h, the output of a layer.
        computed: those of `inputs` and `weights` that are no parameters, but nodes that compute them.
        forms: the results of `form` so far, by its arguments.
        start: the `Form` of the state before the first input.
        known_steps: the steps with dropout that are known, by what they depend on besides shapes; see `steps.py`.
        steps: how to record steps with the dropout rates of late, if each step draws new masks.
    """

    def __init__(self, cell: Cell, inputs: list[list[Expression]], weights: list[list[Expression]]):
        self.cell: Cell = cell
        self.inputs: list[list[Expression]] = inputs
        self.weights: list[list[Expression]] = weights
        self.hidden: int = sum(len(bias) for bias in inputs[0][::2]) // len(cell.gates)
        self.computed: list[Expression] = [x for layer in (*inputs, *weights) for x in layer if x.version != ANY_GRAPH]
        self.forms: dict[tuple[tuple[Previous, ...], tuple[int, ...]], Form] = {}
        self.start: Form = self.form((START,) * len(self), (1,) * len(self))
        self.known_steps: dict[tuple[float, ...], tuple[dict[Any, Any], dict[Any, Any]]] = {}
        self.steps: Any = None  # a `Steps`, after the first step with dropout

    def __len__(self) -> int:
        return len(self.inputs)

    def numbers(self) -> tuple[int, ...]:
        """Return the numbers of all parameters, and of the nodes that compute others."""
        return tuple([x.at for layer in (*self.inputs, *self.weights) for x in layer])

    def share(self, other: Layers) -> None:
        """Take over what is known about records from the `Layers` of another graph, which has the same numbers."""
        self.forms, self.start, self.known_steps = other.forms, other.start, other.known_steps

    @property
    def input_size(self) -> int:
        """The size of an input of the network."""
        return self.inputs[0][1].type.columns

    def step(self, k: int, x: Dim, previous: Previous) -> tuple[tuple[int, ...], int]:
        """Return the head of the record for a step of layer k, and the batch size of the new state.

        The head is the record without the nodes of the previous state and of the input, which follow it.

        Args:
            k: the number of the layer.
            x: the Dim of the input.
            previous: the batch size of the previous state, and where it is in memory: an entry of `Form.previous`.
        """
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
        """Record a step of layer k with the input x, and return the new h.

        Args:
            state: ((batch size, offset in floats), node number) for each value of the previous state, such as h and c.
                The value starts at this offset in the memory of the node.
            rank: how many dimensions the new h has. All but the first have size 1.
        """
        head, batch = self.step(k, x.type, tuple([shape for shape, _ in state]))
        return graph.add(self.vector(batch, rank), 2, head, (*[place for _, place in state], x.at))

    def vector(self, batch: int, rank: int) -> Dim:
        """Return the shape of h and of c, with this batch size: `rank` dimensions, all of size 1 but the first."""
        return Dim.of(of_rank((self.hidden,), rank), batch)

    def form(self, previous: tuple[Previous, ...], ranks: tuple[int, ...]) -> Form:
        """Return the `Form` with these `previous` and `ranks`. Equal arguments always give the same object."""
        found = self.forms.get((previous, ranks))
        if found is None:
            found = self.forms[previous, ranks] = Form(self, previous, ranks)
        return found


class Form:
    """The shapes of a state, and how to record the step after it. States with the same shapes share one form.

    Attributes:
        layers: the parameters of the network.
        previous: for each layer, the batch size of the state, and where it is in memory. An int is the batch size of a
            state that a step has computed: one node holds all of its values. A tuple means that the state was set to
            given vectors: each value, such as h or c, has its own node, and the tuple has (batch size, offset in
            floats within the node) for each value. It is empty at the start of a sequence, where there is no state.
        ranks: the number of dimensions of h in each layer: 1, or more if the initial vectors had trailing 1s, such as
            (m, 1). The results keep them, as in DyNet.
        dims: the Dim of h in each layer if the state is the result of a step; else empty.
        top: the last of `dims`, which is the Dim of the output; None if there is none.
        starts: whether this is the start of a sequence, where there is no state.
        known: the results of `steps` so far, by the Dim of the input.
        sequences: the results of `sequence` so far, by the Dim of the inputs.
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
        """Return how to record a step whose input has the Dim x. Raise ShapeError if this Dim does not fit.

        Returns:
            (head of the first layer, (layer, head) for each layer above it, form of the next state). A head is the
            beginning of a record: the number of its signature, the number of operands, and the numbers of the
            parameters. The nodes of the previous state and of the input follow it.
        """
        found = self.known.get(x)
        if found is None:
            found = self.known[x] = self._steps(x)
        return found

    def sequence(self, x: Dim) -> tuple[tuple[tuple[int, int, int, tuple[int, ...]], ...], Form]:
        """Return how to record a whole sequence of inputs, which all have the Dim x, as one record for each layer.

        Returns:
            (an entry for each layer, form of the state after a step). An entry is (layer, number of the signature,
            number of operands without the inputs, numbers of the parameters). The nodes of the previous state and of
            the inputs follow the parameters in the record.
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

    Args:
        x: the Dim of the input.
        previous: the batch size of the state before, and where it is in memory: an entry of `Form.previous`.

    Raises:
        ShapeError: the batch sizes differ, and neither is 1.
    """
    sizes = [previous] if isinstance(previous, int) else [size for size, _ in previous]
    batch = max([x.batch, *sizes])
    if any(size not in (1, batch) for size in (x.batch, *sizes)):
        raise ShapeError(f"add_input: the input is {x!r}, the state before has batch size {max(sizes)}")
    return batch
