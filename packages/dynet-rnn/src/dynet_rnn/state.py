"""States of recurrent networks: where a sequence has been read up to."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from dynet_core.annotations import Number
from dynet_core.dim import Dim
from dynet_core.errors import ArgumentError, ShapeError, StaleExpressionError
from dynet_core.expression import Expression
from dynet_core.graph import OTHER_THREAD, Graph, is_gone
from dynet_core.hints import Hinted, give_hints
from dynet_core.parameter import ParameterCollection
from dynet_core.record import append, graph_of
from dynet_core.recorder import ANY_GRAPH, commit, sequence
from dynet_core.signature import Signature, alias
from dynet_ops.input.constants import zeros

from .layers import START, Form, Layers


@functools.cache
def place_in(dim: Dim, offset: int) -> Signature:
    """A stretch of a node as an expression."""
    return alias(dim, offset=offset)


class Builder(Protocol):
    """The builder that states come from, as `RNNState.b` gives it."""

    def whoami(self) -> str:
        """The name of the class."""
        ...

    def param_collection(self) -> ParameterCollection:
        """The collection that holds the parameters."""
        ...

    def initial_state(self, vecs: Sequence[Expression] | None = None, update: bool = True) -> RNNState:
        """The state before a sequence."""
        ...

    def set_dropout(self, f: Number) -> None:
        """Set the rate of dropout for all that it applies to."""
        ...

    def disable_dropout(self) -> None:
        """Turn dropout off."""
        ...

    def advance(self, state: RNNState, x: Expression) -> RNNState:
        """The state after one more input, with dropout."""
        ...


class Run:
    """What the states share that come from one `initial_state`, in a graph of that `version`.

    `graph` is the thread's, and may have been renewed since: a look at its version tells. `plain` says that a step is
    recorded as its signature says, without dropout. `masks` are those of its variational dropout, once there are any.
    """

    __slots__ = ("builder", "expressions", "graph", "layers", "masks", "plain", "version")

    builder: Builder
    expressions: list[list[Expression]]
    graph: Graph
    layers: Layers
    masks: list[list[Expression | None]] | None
    plain: bool
    version: int

    def __init__(
        self,
        builder: Builder,
        graph: Graph,
        layers: Layers,
        expressions: list[list[Expression]],
        plain: bool,
    ):
        self.builder, self.layers, self.plain = builder, layers, plain
        self.graph, self.version = graph, graph.version()
        self.expressions = expressions
        self.masks = None


class RNNState(Hinted):
    """Where a recurrent network stands within a sequence. Reading an input gives a new state and keeps the old one.

    Made by `initial_state` of a builder:

    >>> lstm = dy.VanillaLSTMBuilder(1, 2, 3, dy.Model())
    >>> state = lstm.initial_state().add_input(dy.inputVector([1, 2]))
    >>> state.output().dim()
    ((3,), 1)
    """

    # `_form` says the shapes of the state. It stands in the nodes `_places`, one for each layer, or, where it did not
    # come of an input, in the expressions `_vectors`, for each value of the cell one for each layer.
    __slots__ = ("_form", "_output", "_places", "_prev", "_run", "_vectors")

    _form: Form
    _output: Expression | None
    _places: tuple[int, ...] | None
    _prev: RNNState | None
    _run: Run
    _vectors: list[tuple[Expression, ...] | None] | None

    def __repr__(self) -> str:
        builder, version = self._run.builder, self._run.version
        where = "before the first input" if self._output is None else f"output {self._output!r}"
        return f"<state of {builder.whoami()} {builder.param_collection().name()} in graph {version}: {where}>"

    @classmethod
    def start(cls, run: Run) -> RNNState:
        """The state before the first input."""
        layers = run.layers
        form = layers.form((START,) * len(layers), (1,) * len(layers))
        return cls.made(run, None, form, None, None, [()] * len(layers.cell.state))

    @classmethod
    def of(cls, run: Run, prev: RNNState | None, vectors: list[tuple[Expression, ...]]) -> RNNState:
        """The state that consists of given expressions."""
        shapes = tuple([tuple([(e.type.batch, 0) for e in layer]) for layer in zip(*vectors)])
        ranks = tuple([len(e.type.dims) if run.layers.cell.carries else 1 for e in vectors[-1]])
        form = run.layers.form(shapes, ranks)
        return cls.made(run, prev, form, None, vectors[0][-1], vectors)

    @classmethod
    def made(
        cls,
        run: Run,
        prev: RNNState | None,
        form: Form,
        places: tuple[int, ...] | None,
        output: Expression | None,
        vectors: Sequence[tuple[Expression, ...]] | None = None,
    ) -> RNNState:
        """A state of all that it knows."""
        state = cls()
        state._run, state._prev, state._form = run, prev, form
        state._places, state._output, state._vectors = places, output, vectors  # type: ignore[assignment]
        return state

    # Reading

    def add_input(self, x: Expression) -> RNNState:
        """The state after one more input.

        Args:
            x: a vector of the builder's input_dim; a batch of 1 goes with a state of any batch and the other way round.

        Raises:
            ShapeError: x has another size, or its batch does not go with the state's.
        """
        run, places = self._run, self._places
        try:
            form = self._form
            if x.version != run.version or not run.plain or run.graph.watch is not None:
                return self._add_unusual(x)
            if places is None and not form.starts:
                return self._add_unusual(x)
            head, above, form = form.known[x.type]
        except (AttributeError, KeyError):
            return self._add_unusual(x)
        top = form.top
        output = commit(top, 2, head, (places[0], x) if places else (x,), run.version)
        if output is None:
            return self._add_unusual(x)
        if above:
            found = [output.at]
            for layer, head in above:
                output = commit(top, 2, head, (places[layer], output) if places else (output,), run.version)
                found.append(output.at)
            places = tuple(found)
        else:
            places = (output.at,)
        state = RNNState()
        state._run = run
        state._prev = self
        state._form = form
        state._places = places
        state._output = output
        state._vectors = None
        return state

    def add_inputs(self, xs: Iterable[Expression]) -> list[RNNState]:
        """The states after each of the inputs, one by one."""
        state, states = self, []
        for x in xs:
            state = state.add_input(x)
            states.append(state)
        return states

    def transduce(self, xs: Iterable[Expression]) -> list[Expression]:
        """The outputs after each of the inputs; quicker than `add_inputs`.

        Args:
            xs: any iterable, such as a list or `reversed(list)`.
        """
        given: Any = xs if xs.__class__ is list else list(xs)
        found = self.read(given)
        return [state.output() for state in self.add_inputs(given)] if found is None else found

    def read(self, xs: list[Expression]) -> list[Expression] | None:
        """Record a sequence at once: its outputs. None if it has to go step by step."""
        run, form = self._run, self._form
        if not xs or not run.plain or run.graph.watch is not None:
            graph_of("transduce", xs)
            return None
        if not isinstance(xs[0], Expression):
            graph_of("transduce", xs)  # raises
        dim, count = xs[0].type, len(xs)
        if dim not in form.sequences:
            graph_of("transduce", xs)
        heads, following = form.sequences.get(dim) or form.sequence(dim)
        found: list[Expression] | None = xs
        for layer, signature, size, given in heads:
            states = () if form.starts else self.operands(layer)
            found = sequence(following.top, (signature, size + count, *given, *states), found, dim, run.version)
            if found is None:
                graph_of("transduce", xs)
                if layer:
                    raise StaleExpressionError(is_gone(run.version))  # it has been renewed meanwhile
                return None
            dim = following.top
        return found

    def operands(self, layer: int) -> tuple[int, ...]:
        """What a step of a layer takes from this state."""
        if self._places is not None:
            return (self._places[layer],)
        return tuple([vectors[layer].at for vectors in self._vectors if vectors])

    def _add_unusual(self, x: Expression) -> RNNState:
        """The first input, an input that is a parameter, a step with dropout, or an error."""
        run = self._run
        graph = graph_of("add_input", (x,))
        if run.graph.as_of(run.version, self._places or ()).graph is not graph.graph:
            raise StaleExpressionError(
                f"add_input: the input and the state belong to the graphs of two threads; {OTHER_THREAD}"
            )
        first, above, form = self._form.steps(x.type)  # checks shapes before anything is recorded
        if x.version == ANY_GRAPH or len(x.type.dims) > 1:
            x = append(graph, place_in(Dim.of(x.type.dims[:1], x.type.batch), 0), [x.at])
        if not run.plain:
            return run.builder.advance(self, x)
        places = ()
        for layer, head in ((0, first), *above):
            operands = () if self._form.starts else self.operands(layer)
            x = graph.add(form.top, 2, head, (*operands, x.at))  # type: ignore[arg-type]  # it comes of an input
            places = (*places, x.at)
        return RNNState.made(run, self, form, places, x)

    def is_plain(self) -> bool:
        """Whether inputs are read without dropout or the like."""
        return self._run.plain

    # Looking

    def output(self) -> Expression:
        """h of the last layer; None before the first input, which no annotation says: programs ask afterwards."""
        return self._output  # type: ignore[return-value]

    def vectors(self, value: int) -> tuple[Expression, ...]:
        """One value of the cell (0 is h, 1 is c) of each layer, the first layer first; () before the first input."""
        known = self._vectors
        if known is None:
            known = self._vectors = [None] * len(self._run.layers.cell.state)  # type: ignore
        found = known[value]
        if found is None:
            graph, form = self._run.graph.as_of(self._run.version, self._places or ()), self._form
            found = tuple(
                [
                    append(graph, place_in(dim, value * dim.total), [place]) if value else graph.node(place, dim)
                    for place, dim in zip(self._places, form.dims)  # type: ignore[arg-type]
                ]
            )
            known[value] = found  # type: ignore
        return found

    def h(self) -> tuple[Expression, ...]:
        """The output of each layer, the first layer first."""
        return self.vectors(0)

    def s(self) -> tuple[Expression, ...]:
        """The whole state of each layer: h, or for an LSTM the cells c of all layers and then their h."""
        values = range(len(self._run.layers.cell.state))
        return tuple([vector for value in reversed(values) for vector in self.vectors(value)])

    def prev(self) -> RNNState | None:
        """The state that this one came from."""
        return self._prev

    def b(self) -> Builder:
        """The builder."""
        return self._run.builder

    # Setting

    def set_h(self, es: Sequence[Expression] | None = None) -> RNNState:
        """This state with other outputs h.

        Args:
            es: one vector of the builder's hidden_dim for each layer.
        """
        given = self._checked("set_h", es, (len(self._run.layers),))
        return self._with([given])

    def set_s(self, es: Sequence[Expression] | None = None) -> RNNState:
        """This state with other vectors.

        Args:
            es: as `s` gives them: for an LSTM c of each layer, then h of each layer; c alone leaves h as it is.
        """
        return self.with_vectors("set_s", es)

    def with_vectors(self, name: str, es: Sequence[Expression] | None) -> RNNState:
        """`set_s` under the name of the method that a user called."""
        count, values = len(self._run.layers), len(self._run.layers.cell.state)
        given = self._checked(name, es, (count, count * values))
        if len(given) < count * values:
            return self._with([(), given])
        return self._with([given[count * k : count * (k + 1)] for k in reversed(range(values))])

    def _checked(self, name: str, es: Iterable[Expression] | None, counts: Sequence[int]) -> tuple[Expression, ...]:
        es = () if es is None else tuple(es)
        graph_of(name, es)
        if len(es) not in counts:
            layers, wanted = len(self._run.layers), " or ".join(map(str, sorted({*counts})))
            raise ArgumentError(f"{name}: {wanted} expressions are needed for {layers} layers, got {len(es)}")
        hidden = self._run.layers.hidden
        for number, e in enumerate(es):
            if e.type.size != hidden or e.type.rows != hidden:
                raise ShapeError(f"{name}: expression {number} is {e.type!r}, the network's states are {(hidden,)}")
        return es

    def _with(self, given: list[tuple[Expression, ...]]) -> RNNState:
        """This state with other vectors for some values of the cell; what there never was is zero."""
        layers = self._run.layers
        batch = next(vectors for vectors in given if vectors)[0].type.batch
        kept = [self.vectors(k) for k in range(len(layers.cell.state))]
        given = given + [()] * (len(kept) - len(given))
        vectors = [new or old or tuple([zeros(layers.hidden, batch)] * len(layers)) for new, old in zip(given, kept)]
        return RNNState.of(self._run, self, vectors)


give_hints(
    RNNState,
    {
        **dict.fromkeys(("forward", "step"), "state.add_input(x)"),
        "hidden": "state.h(), or state.output() for the last layer",
        "c": "state.s(), which begins with the cells of an LSTM",
        "value": "state.output().value()",
        "dim": "state.output().dim()",
        "detach": "dy.nobackprop of each of state.s(), and state.set_s(...)",
    },
)
