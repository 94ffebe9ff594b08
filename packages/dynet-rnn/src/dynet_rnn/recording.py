"""How steps of a recurrent network are recorded. A step of one layer is one record, and so is a whole sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dynet_core.dim import Dim
from dynet_core.errors import ShapeError
from dynet_core.graph import Graph, current
from dynet_core.graph.expression import Expression
from dynet_core.graph.record import PinnedGraph
from dynet_core.graph.templates import Observed
from dynet_core.recorder import HAS_TEMPLATES
from dynet_ops.layouts import of_rank
from dynet_ops.network.cells import Previous, sequence_signature
from dynet_ops.network.equations import Cell

MOST_CALLS = 8  # if this many steps of a kind have not led to a template, later ones are not observed
Head = tuple[int, int, tuple[int, ...]]
"""The number of a signature, the number of operands without inputs, the numbers of the parameters."""


class Layers:
    """The layers of a network whose parameters have certain numbers.

    `parameters` are, for each layer, what the cell reads: `Cell.pairs`, then `Cell.weights`. `start` is the `Form` of
    the state before the first input.
    """

    def __init__(self, cell: Cell, sizes: tuple[int, int], parameters: list[list[Expression]]):
        self.cell, (self.size, self.hidden) = cell, sizes
        self._read = [(tuple([x.at for x in layer]), [x.type for x in layer]) for layer in parameters]
        self._forms: dict[tuple[tuple[Previous, ...], tuple[int, ...]], Form] = {}
        self.start: Form = self.form(((),) * len(self), (1,) * len(self))

    def __len__(self) -> int:
        return len(self._read)

    def head(self, k: int, x: Dim, previous: Previous) -> tuple[Head, int]:
        """Return how records of layer k begin, for inputs of the plain Dim x, and the batch size of the new state."""
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
        return Dim.of(of_rank((self.hidden,), rank), batch)

    def form(self, previous: tuple[Previous, ...], ranks: tuple[int, ...]) -> Form:
        """Return the `Form` with these `previous` and `ranks`. Equal arguments always give the same object."""
        found = self._forms.get((previous, ranks))
        if found is None:
            found = self._forms[previous, ranks] = Form(self, previous, ranks)
        return found


class Form:
    """The shapes of a state. States with the same shapes share one form.

    `previous`: for each layer, the batch size, if one node holds all values of the state; a tuple if it was set to
    given vectors, with (batch size, offset in floats within its node) for each value, or () at the start of a sequence.
    `ranks`: the number of dimensions of h in each layer, more than 1 if the initial vectors had trailing 1s, such as
    (m, 1): the results keep them, as in DyNet. `dims`: the Dim of h in each layer after a step; else empty. `known`:
    the results of `heads` so far, by the Dim of the input.
    """

    __slots__ = ("_layers", "dims", "known", "previous", "ranks")

    def __init__(self, layers: Layers, previous: tuple[Previous, ...], ranks: tuple[int, ...]):
        self._layers, self.previous, self.ranks = layers, previous, ranks
        self.dims: list[Dim] = [
            layers.vector(batch, rank) for batch, rank in zip(previous, ranks) if isinstance(batch, int)
        ]
        self.known: dict[Dim, tuple[Any, Form]] = {}

    def heads(self, x: Dim) -> tuple[tuple[tuple[int, int, int, tuple[int, ...]], ...], Form]:
        """Return (layer, *head) of each layer for inputs of the Dim x, and the form of the state after one."""
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
    """Raise ShapeError if x is not a vector of this size. Trailing 1s are allowed.

    The message calls x `what`, such as "add_input: the input", and what reads it `taker`, such as "the network".
    """
    if of_rank(x.dims, 1) != (size,):
        columns = f"; reshape it to {(size,)} x {x.columns}" if x.rows == size and x.batch == 1 else ""
        listed = "; transduce and add_inputs take a list: [x]" * (x.total == 1 and taker == "the network")
        raise ShapeError(f"{what} is {x!r}, {taker} takes {(size,)}{columns}{listed}")


def common_batch(x: Dim, previous: Previous) -> int:
    """Return the batch size of the state after a step. Raise ShapeError if batch sizes differ and neither is 1."""
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

    `expressions` are the parameters of each layer as the builder reads them, `version` the graph's at that call.
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

    If Python has recorded two steps of a kind in the same way, compiled code records all later ones from a template
    (see `dynet_core.graph.templates`).

    `kind` is () without dropout, else the rates; with masks, their batch size, and for each value (the input, h, c)
    whether it has one. `known`: form of a state, Dim of an input -> (Dim of the output, template, offset, below, form
    of the next state). The template's operands are the nodes of the state, the input and `masks`, those of all layers
    in order. The last layer's new state is `offset` nodes before the output; those of the layers below, from top to
    bottom, as many before it as `below` says. While a kind is learned: (how many steps were observed, template of the
    last one or None).
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

    `layers` has the parameters as the cell reads them. `computed` are those of them that nodes compute. `steps` is None
    if the masks have not been drawn. `drawn` has the `Steps` of all masks that have been drawn, the newest last.
    """

    layers: Layers
    computed: list[Expression]
    steps: Steps | None
    drawn: list[Steps] = field(default_factory=list)

    def begun(self, form: Form, x: Dim) -> Any:
        """Draw the masks, and return how to record steps with them. None: it is not known whether the input fits."""
        return self.builder._steps(self, x.batch) if x in form.known and self.is_current() else None

    def learn(self, state: Any, x: Expression) -> Any:
        """Let Python record a step, which becomes known if the last one of its kind has recorded the same."""
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
