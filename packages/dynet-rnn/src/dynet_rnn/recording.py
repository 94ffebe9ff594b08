"""How steps of a recurrent network are recorded: what is known beyond a graph, and what the states of a sequence share.

The graph stores each operation as a *record*, a list of integers: the number of the operation's *signature*, which
says what is computed for which shapes; the number of operands; then the operands, which are numbers of nodes and of
parameters. A step of one layer is one record, and so is a whole sequence. A shape is a `Dim`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dynet_core.dim import Dim
from dynet_core.errors import ShapeError
from dynet_core.expression import Expression
from dynet_core.graph import Graph, current
from dynet_core.pinned_graph import PinnedGraph
from dynet_core.recorder import HAS_TEMPLATES
from dynet_core.templates import Observed
from dynet_ops.layouts import of_rank
from dynet_ops.network.cell_description import Cell
from dynet_ops.network.cells import Previous, sequence_signature

MOST_CALLS = 8  # if this many steps of a kind have not led to a template, later ones are not observed
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
        listed = "; transduce and add_inputs take a list: [x]" * (x.total == 1 and taker == "the network")
        raise ShapeError(f"{what} is {x!r}, {taker} takes {(size,)}{columns}{listed}")


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


Known = dict[Form, dict[Dim, tuple[Any, ...]]]
"""What is known of recording steps, by the form of the state and the Dim of the input; see `Steps`."""


@dataclass(slots=True, eq=False)
class Run:
    """What all states that stem from one call of a builder's `initial_state` have in common.

    Attributes:
        builder: the builder that made the states.
        expressions: the parameters of each layer as expressions, in the order in which the builder reads them.
        graph: the graph that has the nodes of the states.
        version: the version of the graph when `initial_state` was called.
    """

    builder: Any
    graph: Graph
    expressions: list[list[Expression]]
    version: int = field(init=False)

    def __post_init__(self) -> None:
        self.version = self.graph.version()

    def is_current(self) -> bool:
        """Return whether the graph is this thread's, and has not been renewed since `initial_state`."""
        return self.graph is current() and self.graph._had_version(self.version)


class Steps:
    """How the steps of a sequence are recorded, with certain dropout rates and masks.

    Python records the first steps of each kind. If two of them have recorded the same, it becomes a *template*, from
    which compiled code records all later steps of this kind: see `dynet_core.templates`.

    Attributes:
        kind: what the records of a step depend on, besides shapes: () without dropout, else dropout rates; if there are
            masks, their batch size, and for each value (the input, h, c) whether it has one.
        known: by the form of a state and the Dim of an input, how to record a step: (Dim of the output, template,
            offset, below, form of the next state). The operands of the template are the nodes of the state, the input
            and `masks`. The place of the last layer's new state is `offset` nodes before the output. Those of the
            layers below it, from top to bottom, are as many nodes before that place as `below` says. While it is
            being learned: (how many steps were observed, template of the last one or None).
        masks: the masks of all layers, in order, if the sequence has the same ones at all steps. A mask is a vector of
            random factors.
    """

    __slots__ = ("kind", "known", "masks")

    def __init__(self, kind: tuple[float, ...], known: Known, masks: tuple[Expression, ...] = ()):
        self.kind, self.known, self.masks = kind, known, masks

    def mask(self, layer: int, value: int) -> Expression | None:
        """Return the mask of the input of a layer (`value` is 0), of h (1) or of c (2). None stands for ones."""
        has = self.kind[1:]
        if not any(has[value : value + 1]):
            return None
        return self.masks[layer * sum(map(bool, has)) + sum(map(bool, has[:value]))]


@dataclass(slots=True, eq=False)
class SequenceRun(Run):
    """What all states of a recurrent network that stem from one call of `initial_state` have in common.

    Attributes:
        layers: what is known of the parameters in the order in which the cell reads them.
        computed: those of them that are no parameters, but nodes that compute them.
        steps: how to record steps; None if the masks have not been drawn.
        drawn: the `Steps` for all masks that have been drawn, the newest last.
    """

    layers: Layers
    computed: list[Expression]
    steps: Steps | None
    drawn: list[Steps] = field(default_factory=list)

    def begun(self, form: Form, x: Dim) -> Any:
        """Draw the masks, and return how to record steps with them. None: it is not known whether the input fits."""
        return self.builder._steps(self, x.batch) if x in form.known and self.is_current() else None

    def learn(self, state: Any, x: Expression) -> Any:
        """Let Python record the step from `state` with the input x, and return the new state.

        The step becomes known if the last one of its kind has recorded the same.
        """
        steps: Any = self.steps
        known = steps.known.setdefault(state._form, {})
        seen = known.get(x.type, (0, None))
        observed = Observed() if HAS_TEMPLATES and len(seen) == 2 and seen[0] < MOST_CALLS else None
        new = self.builder._advance(state, x)
        if observed is not None:
            (calls, before), output = seen, new._output
            operands = *state._places, x.at, *[mask.at for mask in steps.masks]
            template = observed.template(operands, output, [weight.at for weight in self.computed])
            known[x.type] = calls + 1, template or before
            if template is not None and template == before and new._form.dims:
                *below, last = new._places
                below = tuple([last - place for place in reversed(below)])
                known[x.type] = output.type, template, output.at - last, below, new._form
        return new
