"""`RNNState`: the state of a recurrent network after some inputs of a sequence.

The state of a layer has one or two *values*, vectors: h, the output, and for an LSTM also c, the memory. After an
input, one node holds the h and then the c of a layer. Its number is called the place of the state.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from dynet_core.annotations import Number
from dynet_core.dim import Dim
from dynet_core.errors import ArgumentError, ShapeError, StaleExpressionError
from dynet_core.graph import OTHER_THREAD, is_gone, refuse
from dynet_core.graph.expression import Expression
from dynet_core.graph.record import PinnedGraph, graph_of
from dynet_core.messages.hints import Hinted
from dynet_core.parameter import ParameterCollection
from dynet_core.recorder import replay, sequence
from dynet_core.signature import Signature, alias
from dynet_ops.input.inputs import zeros

from .recording import Form, SequenceRun


class Builder(Protocol):
    """The type of the builder that `RNNState.b` returns, for type checkers."""

    def whoami(self) -> str: ...
    def param_collection(self) -> ParameterCollection: ...
    def initial_state(self, vecs: Sequence[Expression] | None = None, update: bool = True) -> RNNState: ...
    def set_dropout(self, f: Number) -> None: ...
    def disable_dropout(self) -> None: ...


@functools.cache
def as_vector(dim: Dim) -> Signature:
    """Return the signature of a node that gives its operand the shape `dim` without copying it."""
    return alias(dim)


@functools.cache
def value_of_state(dim: Dim, number: int) -> Signature:
    """Return the signature of a value of a state, such as 1 for the c of an LSTM's (h, c). `dim` is the shape of each.

    Its operand is a time step or a tree node, whose memory begins with the values. Its gradient includes what comes
    from the values of the same state that were computed from it.
    """
    return alias(dim, offset=number * dim.total, has_gradient_of_whole=True)


class RNNState(Hinted):
    """The state of a recurrent network within a sequence. Reading an input returns a new state.

    States do not change, so several sequences can continue from the same state. `initial_state` of a builder returns
    the first state:

    >>> lstm = dy.VanillaLSTMBuilder(1, 2, 3, dy.Model())
    >>> state = lstm.initial_state().add_input(dy.inputVector([1, 2]))
    >>> state.output().dim()
    ((3,), 1)
    """

    # `_places` are the nodes that hold the state: after an input, one for each layer; in a state that was set, those of
    # the first layer, then of the next. `_vectors` has a tuple for each value (h, then c): the expressions of this
    # value in each layer. After an input, it is None until `_value` is called.
    __slots__ = ("_form", "_output", "_places", "_prev", "_run", "_vectors")

    _form: Form
    _output: Expression | None
    _places: tuple[int, ...]
    _prev: RNNState | None
    _run: SequenceRun
    _vectors: list[tuple[Expression, ...] | None] | None

    def __repr__(self) -> str:
        builder, version = self._run.builder, self._run.version
        where = "before the first input" if self._output is None else f"output {self._output!r}"
        return f"<state of {builder.whoami()} {builder.param_collection().name()} in graph {version}: {where}>"

    @classmethod
    def _of(cls, run: SequenceRun, prev: RNNState | None, vectors: Sequence[tuple[Expression, ...]]) -> RNNState:
        """Return a state that follows `prev`. `vectors` has a tuple of h of each layer, and for an LSTM one of c."""
        shapes = tuple([tuple([(e.type.batch, 0) for e in layer]) for layer in zip(*vectors)])
        ranks = tuple([len(e.type.dims) if run.layers.cell.carries else 1 for e in vectors[-1]])
        places = tuple([e.at for layer in zip(*vectors) for e in layer])
        return cls._made(run, prev, run.layers.form(shapes, ranks), places, vectors[0][-1], [*vectors])

    @classmethod
    def _made(
        cls,
        run: SequenceRun,
        prev: RNNState | None,
        form: Form,
        places: tuple[int, ...],
        output: Expression | None,
        vectors: list[tuple[Expression, ...] | None] | None = None,
    ) -> RNNState:
        state = cls()
        state._run, state._prev, state._form = run, prev, form
        state._places, state._output, state._vectors = places, output, vectors
        return state

    # Reading inputs

    def add_input(self, x: Expression) -> RNNState:
        """Read one more input, and return the state after it.

        Args:
            x: a vector of size input_dim. The batch sizes of x and of the state must be equal, or one must be 1.

        Raises:
            ShapeError: x is not of size input_dim, or its batch size does not fit.
        """
        run = self._run
        try:
            steps = run.steps or run.begun(self._form, x.type)
            dim, template, offset, below, form = steps.known[self._form][x.type]
            output = replay(dim, template, self._places + (x,) + steps.masks, run.version)  # noqa: RUF005  # quicker
            last = output.at - offset
        except (AttributeError, KeyError, ValueError):  # also if `replay` has refused to record
            return self._add_unusual(x)
        places = (last,)
        if below:
            for nodes in below:
                places = (last - nodes, *places)
        state = RNNState()
        state._run, state._prev, state._form = run, self, form
        state._places, state._output, state._vectors = places, output, None
        return state

    def add_inputs(self, xs: Iterable[Expression]) -> list[RNNState]:
        """Read inputs one by one, and return the state after each of them."""
        state, states = self, []
        for x in xs:
            state = state.add_input(x)
            states.append(state)
        return states

    def transduce(self, xs: Iterable[Expression]) -> list[Expression]:
        """Read inputs (any iterable), and return the output after each of them. This is faster than `add_inputs`."""
        given: Any = xs if xs.__class__ is list else list(xs)
        run, steps = self._run, self._run.steps
        is_watched = run.graph.watch is not None
        if given and steps is not None and not steps.kind and not is_watched:
            outputs = self._read_whole(given)
            if outputs is not None:
                return outputs
        if is_watched or [x for x in given if getattr(x, "version", None) != run.version]:
            graph_of("transduce", given)  # raises an error before anything is recorded
        return [state.output() for state in self.add_inputs(given)]

    def _read_whole(self, xs: list[Expression]) -> list[Expression] | None:
        """Add one record per layer for the whole sequence `xs`. Return the outputs of the last layer.

        If that is not possible, as with inputs of different shapes, change nothing and return None.
        """
        run, form, count = self._run, self._form, len(xs)
        try:
            heads, following = form.known[xs[0].type]
        except (AttributeError, KeyError):
            graph_of("transduce", xs)
            heads, following = form.heads(xs[0].type)
        dim, top = xs[0].type, following.dims[-1]
        found: list[Expression] | None = xs
        for layer, signature, size, numbers in heads:
            states = self._operands(layer) if self._places else ()
            found = sequence(top, (signature, size + count, *numbers, *states), found, dim, run.version)
            if found is None:
                graph_of("transduce", xs)
                if layer:  # layer 0 was recorded, so `renew_cg` must have been called since
                    raise StaleExpressionError(is_gone(run.version))
                return None
            dim = top
        return found

    def _operands(self, layer: int) -> tuple[int, ...]:
        """Return the nodes that hold this layer's state: one for all values, or one for each."""
        count = len(self._places) // len(self._run.layers)
        return self._places[layer * count : (layer + 1) * count]

    def _add_unusual(self, x: Expression) -> RNNState:
        """Do the work of `add_input` for new shapes, masks to be drawn, graphs that are watched, and errors."""
        run = self._run
        graph = graph_of("add_input", (x,))
        if self._pinned().graph is not graph.graph:
            raise StaleExpressionError(
                f"add_input: the input and the state belong to the graphs of two threads; {OTHER_THREAD}"
            )
        self._form.heads(x.type)  # raises ShapeError before anything is recorded
        steps = run.steps
        run.steps = run.builder._steps(run, x.type.batch)
        if run.steps is not steps:
            return self.add_input(x)
        if x.at in self._places:  # so that a template can tell it from the state
            x = graph.append(as_vector(x.type.plain), [x.at])
        return run.learn(self, x)

    def _pinned(self) -> PinnedGraph:
        """Return the graph, after checking that it still has all nodes of the state and computed weights."""
        run, version, places, vectors = self._run, self._run.version, (), self._vectors or ()
        if self._form.dims:  # all are nodes of steps, so none needs an expression
            version, places, vectors = self._output.version, self._places, ()  # type: ignore[union-attr]
        graph = PinnedGraph.as_of(run.graph, version, places)
        if run.graph.watch is not None:
            for x in (*[x for of_value in vectors for x in of_value or ()], *run.computed):
                if not run.graph.holds(x):
                    refuse(x)
        return graph

    # What is in the state

    def output(self) -> Expression:
        """Return h of the last layer; None before the first input.

        The annotation leaves None out, so that type checkers do not complain about every use of an output.
        """
        return self._output  # type: ignore[return-value]

    def _value(self, value: int) -> tuple[Expression, ...]:
        """Return h (`value` is 0) or c (`value` is 1) of each layer, first layer first; () before the first input."""
        known = self._vectors
        if known is None:
            known = self._vectors = [None for _ in self._run.layers.cell.state]
        found, graph, dims = known[value], self._run.graph, self._form.dims
        if found is None or (dims and graph.watch is not None and not all(map(graph.holds, found))):
            pinned = self._pinned()
            found = known[value] = tuple(
                [
                    pinned.append(value_of_state(dim, value), [place]) if value else pinned.node(place, dim)
                    for place, dim in zip(self._places, dims)
                ]
            )
        return found

    def h(self) -> tuple[Expression, ...]:
        """Return h of each layer, first layer first; () before the first input."""
        return self._value(0)

    def s(self) -> tuple[Expression, ...]:
        """Return all vectors of the state: h of each layer, or for an LSTM, c of all layers and then h of all."""
        values = range(len(self._run.layers.cell.state))
        return tuple([vector for value in reversed(values) for vector in self._value(value)])

    def prev(self) -> RNNState | None:
        """Return the state before the last input or the last call of `set_h` or `set_s`; None if there is none."""
        return self._prev

    def b(self) -> Builder:
        """Return the builder of the network."""
        return self._run.builder

    # Copies of the state with other vectors

    def set_h(self, es: Sequence[Expression] | None = None) -> RNNState:
        """Return a copy of this state in which h of each layer is replaced by `es`, vectors of size hidden_dim."""
        return self._with([self._checked("set_h", es, (len(self._run.layers),))])

    def set_s(self, es: Sequence[Expression] | None = None) -> RNNState:
        """Return a copy of this state in which the vectors are replaced.

        Args:
            es: the new vectors of size hidden_dim, in the order of `s`: h of each layer, or for an LSTM, first c of
                each layer and then h of each layer. If only c of each layer is given, h stays as it is.
        """
        return self._with_vectors("set_s", es)

    def _with_vectors(self, name: str, es: Sequence[Expression] | None) -> RNNState:
        """Do what `set_s` does. `name` is the method that error messages mention."""
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
        """Return a copy of this state with new vectors of all layers: `given` has an entry for h, and maybe one for c.

        () keeps the old vectors, or zeros if there are none, as before the first input.
        """
        layers = self._run.layers
        batch = next(vectors for vectors in given if vectors)[0].type.batch
        kept = [self._value(k) for k in range(len(layers.cell.state))]
        given = given + [()] * (len(kept) - len(given))
        vectors = [new or old or tuple([zeros(layers.hidden, batch)] * len(layers)) for new, old in zip(given, kept)]
        return RNNState._of(self._run, self, vectors)
