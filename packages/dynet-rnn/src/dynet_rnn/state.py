"""`RNNState`: the state of a recurrent network after some inputs of a sequence.

Each layer applies a *cell*, the equations for one step. The state of a cell has one or two *values*, which are vectors:
h, the output, and for an LSTM also c, the memory. For each input that a layer reads, one node of the graph holds the
new state of the layer: h and then c. The number of this node is called the place of the state. `layers.py` explains
*records*, the operations that the graph stores, and `Form`, the shapes of a state.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from dynet_core.annotations import Number
from dynet_core.dim import Dim
from dynet_core.errors import ArgumentError, ShapeError, StaleExpressionError
from dynet_core.expression import Expression
from dynet_core.graph import OTHER_THREAD, is_gone
from dynet_core.hints import Hinted
from dynet_core.parameter import ParameterCollection
from dynet_core.pinned_graph import PinnedGraph
from dynet_core.record import append, graph_of
from dynet_core.recorder import ANY_GRAPH, commit, replay, sequence
from dynet_core.signature import Signature, alias
from dynet_ops.input.constants import zeros

from .layers import Form
from .run import SequenceRun
from .steps import nodes_of


@functools.cache
def as_vector(dim: Dim) -> Signature:
    """Return the signature of a node that has the shape `dim` and the value of its operand, which is not copied.

    A signature says what a node computes, and for which shapes.
    """
    return alias(dim)


@functools.cache
def value_of_state(dim: Dim, number: int) -> Signature:
    """Return the signature of a node that is value number `number` of a state, such as 1 for the c of an LSTM's (h, c).

    Its operand is a time step or a tree node, whose memory begins with the values of the state. `dim` is the shape of
    each of them. The gradient of such a value has what comes from its readers, and also what comes from the values of
    the same state that were computed from it.
    """
    return alias(dim, offset=number * dim.total, has_gradient_of_whole=True)


class Builder(Protocol):
    """The type of the builder that `RNNState.b` returns, for type checkers."""

    def whoami(self) -> str:
        """Return the name of the builder's class."""
        ...

    def param_collection(self) -> ParameterCollection:
        """Return the collection that holds the builder's parameters."""
        ...

    def initial_state(self, vecs: Sequence[Expression] | None = None, update: bool = True) -> RNNState:
        """Return the state before the first input of a sequence."""
        ...

    def set_dropout(self, f: Number) -> None:
        """Set all dropout rates of the network to `f`, a number in [0, 1)."""
        ...

    def disable_dropout(self) -> None:
        """Turn dropout off, by setting all dropout rates to 0."""
        ...

    def advance(self, state: RNNState, x: Expression) -> RNNState:
        """Read the input x, with dropout and layer normalisation if they are on, and return the state after `state`."""
        ...


class RNNState(Hinted):
    """The state of a recurrent network within a sequence. Reading an input returns a new state.

    States do not change, so several sequences can continue from the same state. `initial_state` of a builder returns
    the first state:

    >>> lstm = dy.VanillaLSTMBuilder(1, 2, 3, dy.Model())
    >>> state = lstm.initial_state().add_input(dy.inputVector([1, 2]))
    >>> state.output().dim()
    ((3,), 1)
    """

    # `_form` has the shapes of the state. After an input, `_places` has for each layer the number of the node that
    # holds all values of the layer's state. `_vectors` has a tuple for each value (h, then c): this value of each
    # layer, as an expression. In a state that was set to given expressions, `_places` is None. After an input,
    # `_vectors` is None until the method `vectors` is called.
    __slots__ = ("_form", "_output", "_places", "_prev", "_run", "_vectors")

    _form: Form
    _output: Expression | None
    _places: tuple[int, ...] | None
    _prev: RNNState | None
    _run: SequenceRun
    _vectors: list[tuple[Expression, ...] | None] | None

    def __repr__(self) -> str:
        builder, version = self._run.builder, self._run.version
        where = "before the first input" if self._output is None else f"output {self._output!r}"
        return f"<state of {builder.whoami()} {builder.param_collection().name()} in graph {version}: {where}>"

    @classmethod
    def start(cls, run: SequenceRun) -> RNNState:
        """Return the state before the first input of a sequence."""
        layers = run.layers
        return cls.made(run, None, layers.start, None, None, [()] * len(layers.cell.state))

    @classmethod
    def of(cls, run: SequenceRun, prev: RNNState | None, vectors: list[tuple[Expression, ...]]) -> RNNState:
        """Return a state that follows `prev` and consists of the given `vectors`.

        `vectors` has a tuple for h, and for an LSTM another one for c. Each has a vector for each layer.
        """
        shapes = tuple([tuple([(e.type.batch, 0) for e in layer]) for layer in zip(*vectors)])
        ranks = tuple([len(e.type.dims) if run.layers.cell.carries else 1 for e in vectors[-1]])
        form = run.layers.form(shapes, ranks)
        return cls.made(run, prev, form, None, vectors[0][-1], vectors)

    @classmethod
    def made(
        cls,
        run: SequenceRun,
        prev: RNNState | None,
        form: Form,
        places: tuple[int, ...] | None,
        output: Expression | None,
        vectors: Sequence[tuple[Expression, ...]] | None = None,
    ) -> RNNState:
        """Return a new state. Its attributes `_run`, `_prev`, `_form` and so on are the arguments of these names."""
        state = cls()
        state._run, state._prev, state._form = run, prev, form
        state._places, state._output, state._vectors = places, output, vectors  # type: ignore[assignment]
        return state

    # Reading inputs

    def add_input(self, x: Expression) -> RNNState:
        """Read one more input, and return the state after it.

        Args:
            x: a vector of size input_dim. The batch sizes of x and of the state must be equal, or one must be 1.

        Raises:
            ShapeError: x is not of size input_dim, or its batch size does not fit.
        """
        run, places = self._run, self._places
        try:
            form = self._form
            if x.version != run.version or run.graph.watch is not None:
                return self._add_unusual(x)
            if places is None and not form.starts:
                return self._add_unusual(x)
            if run.plain:
                head, above, form = form.known[x.type]
                top = form.top
                output = commit(top, 2, head, (places[0], x) if places else (x,), run.version)
                if above:
                    found = [output.at]
                    for layer, head in above:
                        output = commit(top, 2, head, (places[layer], output) if places else (output,), run.version)
                        found.append(output.at)
                    places = tuple(found)
                else:
                    places = (output.at,)
            else:
                steps = run.steps or run.builder._steps_of(run, form, x.type)
                dim, template, offset, below, form = steps.known[form, x.type]
                operands = (*places, x, *steps.masks) if places else (x, *steps.masks)
                output = replay(dim, template, operands, run.version)
                last = output.at - offset
                places = (last,)
                for nodes in below:
                    places = (last - nodes, *places)
        except (AttributeError, KeyError):  # also if `commit` or `replay` has refused to record
            return self._add_unusual(x)
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
        """Read inputs, and return the output after each of them. This is faster than `add_inputs`.

        Args:
            xs: the inputs, in any iterable, such as a list or `reversed(list)`.
        """
        given: Any = xs if xs.__class__ is list else list(xs)
        if given and not self._run.plain and self._run.graph.watch is None:
            return self._read_with_dropout(given)
        found = self.read(given)
        return [state.output() for state in self.add_inputs(given)] if found is None else found

    def read(self, xs: list[Expression]) -> list[Expression] | None:
        """Add one record per layer to the graph for the whole sequence `xs`. Return the outputs of the last layer.

        If that is not possible, as with dropout or inputs of different shapes, change nothing and return None. The
        caller then adds the inputs one by one.
        """
        run, form = self._run, self._form
        if not xs or not run.plain or run.graph.watch is not None:
            graph_of("transduce", xs)
            return None
        if not isinstance(xs[0], Expression):
            graph_of("transduce", xs)  # raises the error for an input that is no expression
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
                if layer:  # layer 0 was recorded, so `renew_cg` must have been called since
                    raise StaleExpressionError(is_gone(run.version))
                return None
            dim = following.top
        return found

    def _read_with_dropout(self, xs: list[Expression]) -> list[Expression]:
        """Do the work of `transduce` with dropout. Steps whose shapes are known need no states between them."""
        run, form, places, found = self._run, self._form, self._places, []
        if [x for x in xs if getattr(x, "version", None) != run.version]:
            graph_of("transduce", xs)  # raises an error before anything is recorded, unless some are parameters
        elif steps := run.steps or run.builder._steps_of(run, form, xs[0].type):
            found, form, places = steps.read(run.version, form, nodes_of(self), xs)
        if len(found) < len(xs):
            state = RNNState.made(run, None, form, places, found[-1]) if found else self
            found += [state.output() for state in state.add_inputs(xs[len(found) :])]
        return found

    def operands(self, layer: int) -> tuple[int, ...]:
        """Return the numbers of the nodes that hold this layer's state: one node for all values, or one for each."""
        if self._places is not None:
            return (self._places[layer],)
        return tuple([vectors[layer].at for vectors in self._vectors if vectors])

    def _add_unusual(self, x: Expression) -> RNNState:
        """Do the work of `add_input` in the cases that its fast code does not cover.

        These are new shapes, a parameter as input, a state that was set to given expressions, dropout and errors.
        """
        run = self._run
        graph = graph_of("add_input", (x,))
        if self.pinned().graph is not graph.graph:
            raise StaleExpressionError(
                f"add_input: the input and the state belong to the graphs of two threads; {OTHER_THREAD}"
            )
        first, above, form = self._form.steps(x.type)  # raises ShapeError before anything is recorded
        if x.version == ANY_GRAPH or len(x.type.dims) > 1:
            x = append(graph, as_vector(Dim.of(x.type.dims[:1], x.type.batch)), [x.at])
        if not run.plain:
            return run.builder._advance(self, x)
        places = ()
        for layer, head in ((0, first), *above):
            operands = () if self._form.starts else self.operands(layer)
            x = graph.add(form.top, 2, head, (*operands, x.at))  # type: ignore[arg-type]  # after an input, `top` is not None
            places = (*places, x.at)
        return RNNState.made(run, self, form, places, x)

    def pinned(self) -> PinnedGraph:
        """Return the graph, to which nodes can be added. Raise StaleExpressionError if nodes of the state are gone."""
        if self._places is None:
            vectors = [x for vectors in self._vectors or () for x in vectors or ()]
            return self._run.pinned(self._run.version, (), vectors)
        return self._run.pinned(self._output.version, self._places, ())  # type: ignore[union-attr]

    def is_plain(self) -> bool:
        """Return whether a step computes only the cell of each layer, without dropout and layer normalisation."""
        return self._run.plain

    # What is in the state

    def output(self) -> Expression:
        """Return h of the last layer; None before the first input.

        The return annotation leaves None out, so that type checkers do not complain about every use of an output.
        """
        return self._output  # type: ignore[return-value]

    def vectors(self, value: int) -> tuple[Expression, ...]:
        """Return h (`value` is 0) or c (`value` is 1) of each layer, first layer first; () before the first input."""
        known = self._vectors
        if known is None:
            known = self._vectors = [None] * len(self._run.layers.cell.state)  # type: ignore
        found = known[value]
        graph = self._run.graph
        may_be_gone = graph.watch is not None and self._places is not None
        if found is None or (may_be_gone and not all(map(graph.holds, found))):
            pinned, form = self.pinned(), self._form
            found = tuple(
                [
                    append(pinned, value_of_state(dim, value), [place]) if value else pinned.node(place, dim)
                    for place, dim in zip(self._places, form.dims)  # type: ignore[arg-type]
                ]
            )
            known[value] = found  # type: ignore
        return found

    def h(self) -> tuple[Expression, ...]:
        """Return h of each layer, first layer first; () before the first input."""
        return self.vectors(0)

    def s(self) -> tuple[Expression, ...]:
        """Return all vectors of the state: h of each layer, or for an LSTM, c of all layers and then h of all."""
        values = range(len(self._run.layers.cell.state))
        return tuple([vector for value in reversed(values) for vector in self.vectors(value)])

    def prev(self) -> RNNState | None:
        """Return the state before the last input or the last call of `set_h` or `set_s`; None if there is none."""
        return self._prev

    def b(self) -> Builder:
        """Return the builder of the network."""
        return self._run.builder

    # Copies of the state with other vectors

    def set_h(self, es: Sequence[Expression] | None = None) -> RNNState:
        """Return a copy of this state in which h of each layer is replaced.

        Args:
            es: the new h of each layer, vectors of size hidden_dim.
        """
        given = self._checked("set_h", es, (len(self._run.layers),))
        return self._with([given])

    def set_s(self, es: Sequence[Expression] | None = None) -> RNNState:
        """Return a copy of this state in which the vectors are replaced.

        Args:
            es: the new vectors of size hidden_dim, in the order of `s`: h of each layer, or for an LSTM, first c of
                each layer and then h of each layer. If only c of each layer is given, h stays as it is.
        """
        return self.with_vectors("set_s", es)

    def with_vectors(self, name: str, es: Sequence[Expression] | None) -> RNNState:
        """Do what `set_s` does. `name` is the name of the method that error messages mention."""
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
        """Return a copy of this state with new vectors.

        `given` has an entry for h, and may have one for c: the new vectors of all layers, or () to keep the old ones.
        If there are no old ones, as before the first input, zeros are used instead.
        """
        layers = self._run.layers
        batch = next(vectors for vectors in given if vectors)[0].type.batch
        kept = [self.vectors(k) for k in range(len(layers.cell.state))]
        given = given + [()] * (len(kept) - len(given))
        vectors = [new or old or tuple([zeros(layers.hidden, batch)] * len(layers)) for new, old in zip(given, kept)]
        return RNNState.of(self._run, self, vectors)
