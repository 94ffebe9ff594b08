"""Networks that read sequences: how their steps are recorded, their states, and the base class of their builders.

The state of a layer has one or two *values*, vectors: h, the output, and for an LSTM also c, the memory. After an
input, one node holds a layer's h, followed by its c. Each layer adds one record for a step, or for a whole sequence.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dynet_core.annotations import Number
from dynet_core.dim import Dim
from dynet_core.errors import ArgumentError, ArgumentTypeError, ShapeError, StaleExpressionError
from dynet_core.graph import OTHER_THREAD, current, gone_message, refuse
from dynet_core.graph.expression import Expression
from dynet_core.graph.record import PinnedGraph, graph_of
from dynet_core.graph.templates import Observation
from dynet_core.messages.hints import Hinted
from dynet_core.parameter import Parameters
from dynet_core.recorder import ANY_GRAPH, HAS_TEMPLATES, add_list, replay
from dynet_core.signature import alias
from dynet_ops.input.inputs import inputVector, zeros
from dynet_ops.layouts import of_rank
from dynet_ops.network.cells import StateSource, sequence_signature
from dynet_ops.network.equations import Cell

from .base import Latest, LayersBuilder, Run, check_vector, state_value_signature

MOST_OBSERVED_STEPS = 8  # if this many steps with the same shapes led to no template, later ones are not observed
RecordHead = tuple[int, int, int, tuple[int, ...]]
"""How a layer's records begin: (layer's index, signature, count of operands without inputs, parameters as operands)."""


class Layers:
    """The layers of a network, with the parameters that their cells read, or nodes computed from parameters.

    `parameters` has a list for each layer: first those that `Cell.pairs` names, then those that `Cell.weights` names.
    """

    def __init__(self, cell: Cell, sizes: tuple[int, int], parameters: list[list[Expression]]):
        self.cell, (self.input_dim, self.hidden_dim) = cell, sizes
        self.value_indices = range(len(cell.state))  # the indices of a state's values: h is 0, c is 1
        self._operands_and_dims = [(tuple([x.at for x in layer]), [x.type for x in layer]) for layer in parameters]
        self.shapes_of_state = functools.cache(functools.partial(StateShapes, self))  # equal arguments give one object
        self.initial_shapes: StateShapes = self.shapes_of_state(((),) * len(self), (1,) * len(self))

    def __len__(self) -> int:
        return len(self._operands_and_dims)

    def head(self, k: int, x: Dim, state_source: StateSource) -> tuple[RecordHead, int]:
        """Return layer k's `RecordHead` for an input of the Dim x (a `Dim.plain`), and the new state's batch size."""
        parameters, dims = self._operands_and_dims[k]
        old_batches = [state_source] if isinstance(state_source, int) else [size for size, _ in state_source]
        batch = max([x.batch, *old_batches])
        if not {x.batch, *old_batches} <= {1, batch}:
            raise ShapeError(f"add_input: the input is {x!r}, the state before has batch size {max(old_batches)}")
        signature = sequence_signature(self.cell, self.hidden_dim, batch, state_source, x, *dims)
        return (k, signature.at, signature.operands, parameters), batch

    def vector_dim(self, batch: int, rank: int) -> Dim:
        return Dim.of(of_rank((self.hidden_dim,), rank), batch)  # a `rank` over 1 adds trailing 1s


class StateShapes:
    """The shapes of a state. States with the same shapes share one object.

    `state_sources` has for each layer: the batch size if one node holds all values; () before the first input; or
    if vectors were set, such as by `set_s`, for each value (batch size, offset in floats within the value's node).
    `ranks` has the number of dimensions of h in each layer. It is more than 1 if the initial vectors had trailing 1s,
    such as (m, 1), which the results keep, as in DyNet. `dims` has the Dim of each layer's h if one node holds all
    values; else it is empty. `known_heads` has the results of `heads` so far, by the Dim of the input.
    """

    __slots__ = ("_layers", "dims", "known_heads", "ranks", "state_sources")

    def __init__(self, layers: Layers, state_sources: tuple[StateSource, ...], ranks: tuple[int, ...]):
        self._layers, self.state_sources, self.ranks = layers, state_sources, ranks
        self.dims: list[Dim] = [
            layers.vector_dim(batch, rank) for batch, rank in zip(state_sources, ranks) if isinstance(batch, int)
        ]
        self.known_heads: dict[Dim, tuple[Any, StateShapes]] = {}

    def heads(self, x: Dim) -> tuple[tuple[RecordHead, ...], StateShapes]:
        """Return the head of each layer for an input of the Dim x, and the shapes of the state after this input."""
        if x not in self.known_heads:
            layers, dim = self._layers, x.plain
            check_vector("add_input: the input", x, "the network", layers.input_dim)
            heads_and_batches = []
            for k, state_source in enumerate(self.state_sources):
                heads_and_batches.append(layers.head(k, dim, state_source))
                dim = layers.vector_dim(heads_and_batches[-1][1], 1)
            heads, batches = zip(*heads_and_batches)
            self.known_heads[x] = heads, layers.shapes_of_state(batches, self.ranks)
        return self.known_heads[x]


StepTable = dict[StateShapes, dict[Dim, tuple[Any, ...]]]
"""How to record steps, by the shapes of the state and the Dim of the input; see `Steps`."""


@dataclass(slots=True, eq=False)
class Steps:
    """How the steps of a sequence are recorded, with certain dropout rates and masks.

    Python records the first step with certain shapes of state and input, which leads to a template. Compiled code
    records all later steps with these shapes from it (see `dynet_core.graph.templates`).

    `dropout` is () without dropout. If there are `masks`, it is (their batch size, whether inputs have masks, whether h
    has, and for some cells whether c has). If each step draws new masks, it is the rates.

    `table[shapes of the state][Dim of the input]` is (output's Dim, template, offset, distances, shapes of the next
    state). The template's operands are the nodes of the state, the input, and `masks`. The last layer's new state is
    node number n = output - offset; the new states of the lower layers, top layer first, are n - each of `distances`.
    If no step has led to a template, the entry is (number of steps that could have).
    """

    dropout: tuple[float, ...]
    table: StepTable
    masks: tuple[Expression, ...] = ()

    def mask(self, layer: int, mask_kind: int) -> Expression | None:
        """Return the mask of the input of a layer (`mask_kind` is 0), of h (1) or of c (2). None means no dropout."""
        has_mask: Any = self.dropout[1:]
        if not any(has_mask[mask_kind : mask_kind + 1]):
            return None
        return self.masks[layer * sum(has_mask) + sum(has_mask[:mask_kind])]


@dataclass(slots=True, eq=False)
class SequenceRun(Run):
    """What all states that derive from one call of a sequence builder's `initial_state` have in common.

    `layers` has the weights that the cells read, and `computed_weights` those that are nodes, not parameters. `steps`
    is None while masks are needed but not drawn. `masked_steps`: those of all masks since rates were set, newest last.
    """

    layers: Layers
    computed_weights: list[Expression]
    steps: Steps | None
    masked_steps: list[Steps] = field(default_factory=list)

    def steps_for(self, shapes: StateShapes, x: Dim) -> Any:
        """Draw missing masks, and return the `Steps`; None if this Dim is new or the graph is not current."""
        return self.builder._steps_for_batch(self, x.batch) if x in shapes.known_heads and self.is_current() else None


alias_signature = functools.cache(alias)  # Dim -> the signature of an alias, with this Dim, of a whole operand


class RNNState(Hinted):
    """The state of a recurrent network within a sequence. Reading an input returns a new state.

    States do not change, so several sequences can continue from the same state. A builder's `initial_state` returns the
    first state:

    >>> lstm = dy.VanillaLSTMBuilder(1, 2, 3, dy.Model())
    >>> state = lstm.initial_state().add_input(dy.inputVector([1, 2]))
    >>> state.output().dim()
    ((3,), 1)
    """

    # `_nodes` are the numbers of the nodes that hold the state: after an input, one for each layer; if vectors are set,
    # one for each value, layer by layer. `_vectors` has a tuple for h and maybe one for c, with an expression for each
    # layer. After an input, it is None until `_vectors_of` is called, but with layer normalization, vectors are set.
    __slots__ = ("_nodes", "_output", "_prev", "_run", "_shapes", "_vectors")

    _shapes: StateShapes
    _nodes: tuple[int, ...]
    _output: Expression | None
    _prev: RNNState | None
    _run: SequenceRun
    _vectors: list[tuple[Expression, ...] | None] | None

    def __repr__(self) -> str:
        builder, version = self._run.builder, self._run.version
        last_output = "before the first input" if self._output is None else f"output {self._output!r}"
        return f"<state of {builder.whoami()} {builder.param_collection().name()} in graph {version}: {last_output}>"

    @classmethod
    def _from_vectors(
        cls, run: SequenceRun, prev: RNNState | None, vectors: Sequence[tuple[Expression, ...]]
    ) -> RNNState:
        """Return a state that follows `prev`. `vectors` is [h of each layer], or for an LSTM [hs, cs]."""
        state_sources = tuple([tuple([(e.type.batch, 0) for e in layer]) for layer in zip(*vectors)])
        ranks = tuple([len(e.type.dims) if run.layers.cell.carries_last_value else 1 for e in vectors[-1]])
        nodes = tuple([e.at for layer in zip(*vectors) for e in layer])
        return cls._new(run, prev, run.layers.shapes_of_state(state_sources, ranks), nodes, vectors[0][-1], [*vectors])

    @classmethod
    def _new(
        cls,
        run: SequenceRun,
        prev: RNNState | None,
        shapes: StateShapes,
        nodes: tuple[int, ...],
        output: Expression | None,
        vectors: list[tuple[Expression, ...] | None] | None = None,
    ) -> RNNState:
        state = cls()
        state._run, state._prev, state._shapes = run, prev, shapes
        state._nodes, state._output, state._vectors = nodes, output, vectors
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
            steps = run.steps or run.steps_for(self._shapes, x.type)
            dim, template, offset, distances, shapes = steps.table[self._shapes][x.type]
            output = replay(dim, template, self._nodes + (x,) + steps.masks, run.version)  # noqa: RUF005  # quicker
            last = output.at - offset
        except (AttributeError, KeyError, ValueError):  # x is invalid, there is no template, or `replay` returned None
            return self._add_input_slowly(x)
        nodes = (last,)
        if distances:
            for distance in distances:
                nodes = (last - distance, *nodes)
        state = RNNState()
        state._run, state._prev, state._shapes = run, self, shapes
        state._nodes, state._output, state._vectors = nodes, output, None
        return state

    def add_inputs(self, xs: Iterable[Expression]) -> list[RNNState]:
        """Read inputs, and return the state after each of them."""
        state = self
        return [state := state.add_input(x) for x in xs]

    def transduce(self, xs: Iterable[Expression]) -> list[Expression]:
        """Read inputs, and return the output after each of them. This is faster than `add_inputs`."""
        inputs: Any = xs if xs.__class__ is list else list(xs)
        run, steps = self._run, self._run.steps
        is_watched = run.graph.watch is not None
        if inputs and steps and not (steps.dropout or is_watched):
            if outputs := self._record_sequence(inputs):
                return outputs
        if is_watched or [x for x in inputs if getattr(x, "version", None) != run.version]:
            graph_of("transduce", inputs)  # raises an error, if there is one, before anything is recorded
        return [state.output() for state in self.add_inputs(inputs)]

    def _record_sequence(self, xs: list[Expression]) -> list[Expression] | None:
        """Add one record per layer for all of `xs`. Return the outputs; if shapes differ, add none and return None."""
        run = self._run
        try:
            heads, next_shapes = self._shapes.known_heads[xs[0].type]
        except (AttributeError, KeyError):
            graph_of("transduce", xs)
            heads, next_shapes = self._shapes.heads(xs[0].type)
        dim, top = xs[0].type, next_shapes.dims[-1]  # the Dims of the inputs and of the last layer's outputs
        outputs: list[Expression] | None = xs
        for layer, signature, fixed_count, parameters in heads:
            states = self._nodes_of_layer(layer) if self._nodes else ()
            outputs = add_list(top, (signature, fixed_count + len(xs), *parameters, *states), outputs, dim, run.version)
            if outputs is None:
                graph_of("transduce", xs)
                if layer:  # layer 0 was recorded, so `renew_cg` must have been called since
                    raise StaleExpressionError(gone_message(run.version))
                return None
            dim = top
        return outputs

    def _nodes_of_layer(self, layer: int) -> tuple[int, ...]:
        """Return the nodes that hold this layer's state: one for all values, or one for each."""
        nodes_per_layer = len(self._nodes) // len(self._run.layers)
        return self._nodes[layer * nodes_per_layer : (layer + 1) * nodes_per_layer]

    def _add_input_slowly(self, x: Expression) -> RNNState:
        """Do the same as `add_input`, for new shapes, masks that are not drawn yet, watched graphs, and errors."""
        run = self._run
        graph = graph_of("add_input", (x,))
        if self._pinned_graph().graph is not graph.graph:
            raise StaleExpressionError(
                f"add_input: the input and the state belong to the graphs of two threads; {OTHER_THREAD}"
            )
        self._shapes.heads(x.type)  # raises ShapeError before anything is recorded
        steps = run.steps
        run.steps = run.builder._steps_for_batch(run, x.type.batch)
        if run.steps is not steps:
            return self.add_input(x)
        if x.at in self._nodes:  # so that a template can tell the input from the state
            x = graph.append(alias_signature(x.type.plain), [x.at])
        return self._record_step(x)

    def _record_step(self, x: Expression) -> RNNState:
        """Record a step in Python, and add its template to `Steps.table`."""
        run = self._run
        steps: Any = run.steps
        by_dim = steps.table.setdefault(self._shapes, {})
        entry = by_dim.get(x.type, (0,))
        observed = Observation() if HAS_TEMPLATES and len(entry) == 1 and entry[0] < MOST_OBSERVED_STEPS else None
        new_state = run.builder._advance(self, x)
        if observed:
            output, operands = new_state._output, (*self._nodes, x.at, *[mask.at for mask in steps.masks])
            template = observed.template(operands, output, [weight.at for weight in run.computed_weights])
            by_dim[x.type] = (entry[0] + 1,)
            if template and new_state._shapes.dims:
                *distances, last_node = new_state._nodes
                distances = tuple(last_node - node for node in reversed(distances))
                by_dim[x.type] = output.type, template, output.at - last_node, distances, new_state._shapes
        return new_state

    def _pinned_graph(self) -> PinnedGraph:
        """Return the run's graph, pinned. Raise StaleExpressionError if a node of the state or of a weight is gone."""
        run, version, nodes, vectors = self._run, self._run.version, (), self._vectors or ()
        if self._shapes.dims:  # after an input, all nodes are this network's, so `as_of` can check them by number
            version, nodes, vectors = self._output.version, self._nodes, ()  # type: ignore[union-attr]
        graph = PinnedGraph.as_of(run.graph, version, nodes)
        if run.graph.watch is not None:
            for x in itertools.chain(*filter(None, vectors), run.computed_weights):
                if not run.graph.holds(x):
                    refuse(x)
        return graph

    # The vectors of the state

    def output(self) -> Expression:
        """Return h of the last layer; None before the first input."""
        # not annotated as optional, so that type checkers accept every use of an output
        return self._output  # type: ignore[return-value]

    def _vectors_of(self, index: int) -> tuple[Expression, ...]:
        """Return h (`index` is 0) or c (`index` is 1) of each layer, first layer first; () before the first input."""
        if self._vectors is None:
            self._vectors = [None for _ in self._run.layers.value_indices]
        vectors, graph, dims = self._vectors[index], self._run.graph, self._shapes.dims
        if vectors is None or (dims and graph.watch is not None and not all(map(graph.holds, vectors))):
            pinned = self._pinned_graph()
            vectors = self._vectors[index] = tuple(
                [
                    pinned.append(state_value_signature(dim, index), [node]) if index else pinned.node(node, dim)
                    for node, dim in zip(self._nodes, dims)
                ]
            )
        return vectors

    def h(self) -> tuple[Expression, ...]:
        """Return h of each layer, first layer first; () before the first input."""
        return self._vectors_of(0)

    def s(self) -> tuple[Expression, ...]:
        """Return all vectors of the state: h of each layer, or for an LSTM, c of all layers and then h of all."""
        return sum(map(self._vectors_of, reversed(self._run.layers.value_indices)), ())

    def prev(self) -> RNNState | None:
        """Return the state before the last input or the last call of `set_h` or `set_s`; None if there is none."""
        return self._prev

    def b(self) -> _RNNBuilder:
        """Return the builder of the network."""
        return self._run.builder

    # Copies of the state with other vectors

    def set_h(self, es: Sequence[Expression] | None = None) -> RNNState:
        """Return a copy of this state in which h of each layer is replaced by `es`, vectors of size hidden_dim."""
        return self._replace([self._checked_es("set_h", es, (len(self._run.layers),))])

    def set_s(self, es: Sequence[Expression] | None = None) -> RNNState:
        """Return a copy of this state in which the vectors are replaced.

        Args:
            es: the new vectors of size hidden_dim, in the order of `s`: h of each layer, or for an LSTM, first c of
                each layer and then h of each layer. If only c of each layer is given, h stays as it is.
        """
        return self._with_vectors("set_s", es)

    def _with_vectors(self, name: str, es: Sequence[Expression] | None) -> RNNState:
        """Same as `set_s`. `name` is for error messages. If `es` has only c, the slice for h is (), so h is kept."""
        count, values = len(self._run.layers), self._run.layers.value_indices
        vectors = self._checked_es(name, es, (count, count * len(values)))
        return self._replace([vectors[count * k : count * (k + 1)] for k in reversed(values)])

    def _checked_es(self, name: str, es: Iterable[Expression] | None, counts: Sequence[int]) -> tuple[Expression, ...]:
        es = () if es is None else tuple(es)
        graph_of(name, es)
        layers, hidden = self._run.layers, self._run.layers.hidden_dim
        if len(es) not in counts:
            needed = " or ".join(map(str, sorted({*counts})))
            raise ArgumentError(f"{name}: {needed} expressions are needed for {len(layers)} layers, got {len(es)}")
        for index, e in enumerate(es):
            if not e.type.size == e.type.rows == hidden:
                raise ShapeError(f"{name}: expression {index} is {e.type!r}, the network's states are {(hidden,)}")
        return es

    def _replace(self, new_vectors: list[tuple[Expression, ...]]) -> RNNState:
        """Return a copy with new vectors for h, and maybe c. () keeps the old ones, or zeros before the first input."""
        layers = self._run.layers
        batch = next(filter(None, new_vectors))[0].type.batch
        old_vectors = [*map(self._vectors_of, layers.value_indices)]
        vectors = [
            new or old or (zeros(layers.hidden_dim, batch),) * len(layers)
            for new, old in itertools.zip_longest(new_vectors, old_vectors, fillvalue=())
        ]
        return RNNState._from_vectors(self._run, self, vectors)


class StackedRNNState:
    """The states of stacked networks. The first reads the inputs; the others read the outputs of the one below.

    Args:
        states: a state for each network, first network first.
        prev: the state before the last input; None if nothing was read.
    """

    def __init__(self, states: Sequence[RNNState], prev: StackedRNNState | None = None):
        self.states: list[RNNState] = list(states)
        self._prev = prev

    def __repr__(self) -> str:
        return f"<{len(self.states)} states, one on top of the other: {', '.join(map(repr, self.states))}>"

    def add_input(self, x: Expression) -> StackedRNNState:
        """Read one more input, x, and return the state after it. Only the first network reads x itself."""
        states = []
        for state in self.states:
            states.append(state.add_input(x))
            x = states[-1].output()
        return StackedRNNState(states, self)

    def add_inputs(self, xs: Iterable[Expression]) -> list[StackedRNNState]:
        """Read inputs, and return the state after each of them."""
        state = self
        return [state := state.add_input(x) for x in xs]

    def transduce(self, xs: Iterable[Expression]) -> list[Expression]:
        """Read inputs, and return the output of the last network after each of them."""
        for state in self.states:
            xs = state.transduce(xs)
        return list(xs)

    def output(self) -> Expression:
        """Return the output of the last network."""
        return self.states[-1].output()

    def h(self) -> list[tuple[Expression, ...]]:
        """Return what `RNNState.h` returns for each network: h of each of its layers."""
        return [state.h() for state in self.states]

    def s(self) -> list[tuple[Expression, ...]]:
        """Return what `RNNState.s` returns for each network: all vectors of its state."""
        return [state.s() for state in self.states]

    def prev(self) -> StackedRNNState | None:
        """Return the state before the last input; None if nothing was read."""
        return self._prev


MOST_CACHED = 64  # before one more is added: `tables` with so many is cleared; `layers` with so many, and all tables

LoadedParameters = tuple[int, list[list[Expression]], Layers, list[Expression]]
"""(Version of the graph or ANY_GRAPH, then `expressions`, `layers` and `computed_weights` of `SequenceRun`)."""


class LatestSequences(Latest):
    """Attributes of a sequence builder that its copies do not get.

    `initial_state` is kept if all sequences of a graph can share it, as without dropout. `loaded` maps `is_trained` to
    the last result of `_load_parameters`. `layers` maps operands (parameters, or nodes computed from them) to `Layers`.
    `tables` maps `Steps.dropout` to `Steps.table`.
    """

    def __init__(self) -> None:
        self.initial_state: RNNState | None = None
        self.loaded: dict[bool, LoadedParameters] = {}
        self.layers: dict[tuple[int, ...], Layers] = {}
        self.tables: dict[tuple[float, ...], StepTable] = {}
        self.steps_without_masks = Steps((), self.step_table(()))

    def step_table(self, dropout: tuple[float, ...]) -> StepTable:
        if len(self.tables) >= MOST_CACHED and dropout not in self.tables:
            self.tables.clear()
        return self.tables.setdefault(dropout, {})


def cell_of(kind: type[_RNNBuilder]) -> Cell:
    cell = getattr(kind, "_cell", None)
    if not isinstance(cell, Cell):
        raise ArgumentTypeError(f"{kind.__name__}: `_cell` must be a cell such as CELLS['gru_step'], not {cell!r:.60}")
    return cell


class _RNNBuilder(LayersBuilder):
    """Base of the builders of networks that read sequences.

    A subclass sets `_cell`, the equations of one step of a layer, with the shapes of its parameters by name. If a layer
    has more parameters than these, or has them in a different order, the subclass also sets `_names`, the names of all.
    """

    _cell: Cell
    _names: tuple[str, ...] = ()
    _latest: Any = functools.cached_property(lambda self: LatestSequences())

    def initial_state(self, vecs: Sequence[Expression] | None = None, update: bool = True) -> RNNState:
        """Return the state before the first input of a sequence.

        Args:
            vecs: the initial vectors of size hidden_dim, in the order of `RNNState.set_s`: h of each layer, or for an
                LSTM, first c of each layer and then h of each layer. None means zeros.
            update: False treats the parameters as constants: they get no gradient from this sequence.

        Raises:
            ArgumentError: the number of vectors does not fit the number of layers.
            ShapeError: a vector is not of size hidden_dim.
        """
        latest, graph = self._latest, current()
        state, version = latest.initial_state, graph.records.version
        if state is None or state._run.version != version or update is not True:
            loaded = latest.loaded.get(update)
            if loaded is None or loaded[0] not in (ANY_GRAPH, version):
                loaded = self._load_parameters(version, update)
            _, expressions, layers, computed_weights = loaded
            run = SequenceRun(self, graph, version, expressions, layers, computed_weights, self._first_steps())
            state = RNNState._new(run, None, layers.initial_shapes, (), None, [() for _ in layers.value_indices])
            if run.steps is latest.steps_without_masks and update is True and not computed_weights:
                latest.initial_state = state
        latest.run = state._run
        if vecs is not None:
            state = state._with_vectors("initial_state", vecs)
            state._prev = None
        return state

    def initial_state_from_raw_vectors(
        self, vecs: Iterable[Iterable[Number]] | None = None, update: bool = True
    ) -> RNNState:
        """Same as `initial_state`, for initial vectors given as arrays or lists of numbers."""
        return self.initial_state(None if vecs is None else [*map(inputVector, vecs)], update)

    def _load_parameters(self, version: int, is_trained: bool) -> LoadedParameters:
        """Return the parameters for the graph with this version; if not `is_trained`, they get no gradient."""
        latest, names = self._latest, self._names or tuple(self._cell.parameters)
        positions = [names.index(name) for name in (*self._cell.pairs, *self._cell.weights)]
        expressions = [self._expressions(layer, is_trained) for layer in self._parameters]
        read_by_cells = [[layer[index] for index in positions] for layer in self._cell_weights(expressions)]
        computed_weights = [x for layer in read_by_cells for x in layer if x.version != ANY_GRAPH]
        operands = tuple([x.at for layer in read_by_cells for x in layer])
        layers = latest.layers.get(operands)
        if layers is None:
            if len(latest.layers) >= MOST_CACHED:
                for table in (latest.layers, latest.tables, latest.steps_without_masks.table):
                    table.clear()
            layers = latest.layers[operands] = Layers(self._cell, self._spec[1:3], read_by_cells)
        latest.loaded[is_trained] = version if computed_weights else ANY_GRAPH, expressions, layers, computed_weights
        return latest.loaded[is_trained]

    def _expressions(self, layer: list[Parameters], is_trained: bool) -> list[Expression]:
        return [p.expr(is_trained) for p in layer]

    def _cell_weights(self, expressions: list[list[Expression]]) -> list[list[Expression]]:
        """Return each layer's weights as its cell reads them. Subclasses may compute them from parameters."""
        return expressions

    def _add_layer(self, n: int, m: int) -> list[Parameters]:
        return self._add(*[weight.dims(n, m) for weight in cell_of(type(self)).parameters.values()])

    # Dropout rates, and steps with dropout

    def _runs_only_cells(self) -> bool:
        """Return whether a step computes only the cell of each layer, without dropout or layer normalization."""
        return not any(self._rates)

    def _set_dropout_rates(self, rates: tuple[float, ...]) -> None:
        self._rates, self._latest.initial_state = rates, None
        steps = self._first_steps()
        if self._run:
            self._run.masked_steps.clear()
            self._run.steps = steps

    def _first_steps(self) -> Steps | None:
        """Return the `Steps` of a new sequence; None if it needs masks."""
        return self._latest.steps_without_masks if self._runs_only_cells() else None

    def _steps_for_batch(self, run: SequenceRun, batch: int) -> Steps | None:
        """Return the `Steps` for inputs of this batch size. Subclasses first draw missing masks."""
        return run.steps

    def _advance(self, state: RNNState, x: Expression) -> RNNState:
        """Record a step with the input x, which `RNNState.add_input` has checked, and return the new state."""
        run, shapes, graph = state._run, state._shapes, state._pinned_graph()
        graph_of("add_input", (x,))  # again, because `cg_revert` in a signal handler may have removed x
        if x.version == ANY_GRAPH or len(x.type.dims) > 1:  # x must be a node without trailing 1s
            x = graph.append(alias_signature(Dim.of(x.type.dims[:1], x.type.batch)), [x.at])
        nodes, batches = [], []
        for k, rank in enumerate(shapes.ranks):
            x = self._input_after_dropout(run, k, x)
            state_source, state_nodes = self._state_after_dropout(state, k)
            (_, signature, fixed_count, parameters), batch = run.layers.head(k, x.type.plain, state_source)
            h = run.layers.vector_dim(batch, rank)
            x = graph.add(h, 2, (signature, fixed_count + 1, *parameters), (*state_nodes, x.at))  # 2: projection, step
            nodes.append(x.at)
            batches.append(batch)
        shapes = run.layers.shapes_of_state(tuple(batches), shapes.ranks)
        return RNNState._new(run, state, shapes, tuple(nodes), self._output_after_dropout(x))

    def _input_after_dropout(self, run: SequenceRun, k: int, x: Expression) -> Expression:
        """Return x, the input of layer k, after dropout. Subclasses override this and the next two methods."""
        return x

    def _state_after_dropout(self, state: RNNState, k: int) -> tuple[StateSource, tuple[int, ...]]:
        """Return layer k's previous state after dropout: an entry of `StateShapes.state_sources`, and the nodes."""
        return state._shapes.state_sources[k], state._nodes_of_layer(k)

    def _output_after_dropout(self, h: Expression) -> Expression:
        return h
