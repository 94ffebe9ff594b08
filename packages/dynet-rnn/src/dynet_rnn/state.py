"""`RNNState`: the state of a recurrent network after some inputs of a sequence."""

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
    """Return the signature of an expression for the part of a node that starts at `offset` floats."""
    return alias(dim, offset=offset)


class Builder(Protocol):
    """The type of `RNNState.b()`: the builder that made a state."""

    def whoami(self) -> str:
        """The name of the class."""
        ...

    def param_collection(self) -> ParameterCollection:
        """The collection that holds the parameters."""
        ...

    def initial_state(self, vecs: Sequence[Expression] | None = None, update: bool = True) -> RNNState:
        """Return the state before the first input of a sequence."""
        ...

    def set_dropout(self, f: Number) -> None:
        """Set all dropout rates."""
        ...

    def disable_dropout(self) -> None:
        """Turn dropout off."""
        ...

    def advance(self, state: RNNState, x: Expression) -> RNNState:
        """Return the state after one more input, with dropout."""
        ...


class Run:
    """The data that all states of one `initial_state` share.

    Attributes:
        builder: the builder that made the states.
        graph: the graph of this thread. If its version is not `version`, it has been renewed since.
        version: the version of the graph in which the states are valid.
        layers: the parameters of the layers, as the cell reads them.
        expressions: the parameters of each layer as expressions.
        plain: whether a step records only the cell, without dropout.
        masks: the masks of variational dropout, once they are drawn.
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
    """The state of a recurrent network within a sequence. An input makes a new state and does not change this one.

    `initial_state` of a builder makes the first state:

    >>> lstm = dy.VanillaLSTMBuilder(1, 2, 3, dy.Model())
    >>> state = lstm.initial_state().add_input(dy.inputVector([1, 2]))
    >>> state.output().dim()
    ((3,), 1)
    """

    # `_form` has the shapes of the state. After an input, `_places` are the nodes of the layers. A state that was set
    # by expressions has them in `_vectors`: for each value of the cell, one expression per layer.
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
        """Return the state before the first input."""
        layers = run.layers
        form = layers.form((START,) * len(layers), (1,) * len(layers))
        return cls.made(run, None, form, None, None, [()] * len(layers.cell.state))

    @classmethod
    def of(cls, run: Run, prev: RNNState | None, vectors: list[tuple[Expression, ...]]) -> RNNState:
        """Return a state made of expressions."""
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
        """Return a state with these attributes."""
        state = cls()
        state._run, state._prev, state._form = run, prev, form
        state._places, state._output, state._vectors = places, output, vectors  # type: ignore[assignment]
        return state

    # Reading

    def add_input(self, x: Expression) -> RNNState:
        """Return the state after one more input.

        Args:
            x: a vector of size input_dim. The batch sizes of x and of the state must be equal, or one must be 1.

        Raises:
            ShapeError: x has another size, or its batch size does not fit.
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
        """Add inputs one by one, and return the state after each."""
        state, states = self, []
        for x in xs:
            state = state.add_input(x)
            states.append(state)
        return states

    def transduce(self, xs: Iterable[Expression]) -> list[Expression]:
        """Return the output after each input. This is faster than `add_inputs`.

        Args:
            xs: any iterable, such as a list or `reversed(list)`.
        """
        given: Any = xs if xs.__class__ is list else list(xs)
        found = self.read(given)
        return [state.output() for state in self.add_inputs(given)] if found is None else found

    def read(self, xs: list[Expression]) -> list[Expression] | None:
        """Record a sequence at once, and return its outputs; None if it must be recorded step by step."""
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
                    raise StaleExpressionError(is_gone(run.version))  # the graph was renewed after the first layer
                return None
            dim = following.top
        return found

    def operands(self, layer: int) -> tuple[int, ...]:
        """Return the nodes of this state that a step of a layer reads."""
        if self._places is not None:
            return (self._places[layer],)
        return tuple([vectors[layer].at for vectors in self._vectors if vectors])

    def _add_unusual(self, x: Expression) -> RNNState:
        """Do `add_input` in all cases but the quickest: new shapes, parameters as inputs, dropout, errors."""
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
            x = graph.add(form.top, 2, head, (*operands, x.at))  # type: ignore[arg-type]  # the state after an input has a top
            places = (*places, x.at)
        return RNNState.made(run, self, form, places, x)

    def is_plain(self) -> bool:
        """Whether a step records only the cell, without dropout or layer normalisation."""
        return self._run.plain

    # Looking

    def output(self) -> Expression:
        """Return h of the last layer. Before the first input it is None, which the annotation leaves out."""
        return self._output  # type: ignore[return-value]

    def vectors(self, value: int) -> tuple[Expression, ...]:
        """Return one value of the cell (0 is h, 1 is c) for each layer, in order; () before the first input."""
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
        """Return h of each layer, first layer first."""
        return self.vectors(0)

    def s(self) -> tuple[Expression, ...]:
        """Return the whole state: h of each layer; for an LSTM, c of each layer and then h of each layer."""
        values = range(len(self._run.layers.cell.state))
        return tuple([vector for value in reversed(values) for vector in self.vectors(value)])

    def prev(self) -> RNNState | None:
        """Return the state before the last input or `set_...`."""
        return self._prev

    def b(self) -> Builder:
        """Return the builder."""
        return self._run.builder

    # Setting

    def set_h(self, es: Sequence[Expression] | None = None) -> RNNState:
        """Return a copy of this state with other h.

        Args:
            es: one vector of size hidden_dim for each layer.
        """
        given = self._checked("set_h", es, (len(self._run.layers),))
        return self._with([given])

    def set_s(self, es: Sequence[Expression] | None = None) -> RNNState:
        """Return a copy of this state with other vectors.

        Args:
            es: vectors in the order of `s`: for an LSTM, c of each layer, then h of each layer. c alone keeps h.
        """
        return self.with_vectors("set_s", es)

    def with_vectors(self, name: str, es: Sequence[Expression] | None) -> RNNState:
        """Do `set_s`; errors show the method `name`."""
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
        """Return a copy with other vectors for some values of the cell. Values without vectors are zero."""
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
