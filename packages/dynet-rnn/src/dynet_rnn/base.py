"""The base classes of builders: `LayersBuilder` for all with layers, `_RNNBuilder` for sequences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from dynet_core.annotations import Index, Number
from dynet_core.dim import Dim
from dynet_core.errors import ArgumentError, ArgumentTypeError
from dynet_core.graph import current
from dynet_core.graph.expression import Expression
from dynet_core.graph.record import graph_of
from dynet_core.initializer import ConstInitializer
from dynet_core.messages.hints import Closed, Hinted, method
from dynet_core.messages.wording import counted, printable
from dynet_core.parameter import ParameterCollection, Parameters
from dynet_core.parameter.collection import holdings
from dynet_core.recorder import ANY_GRAPH
from dynet_ops.input.inputs import inputVector
from dynet_ops.network.cells import Previous
from dynet_ops.network.equations import Cell
from dynet_ops.operands import checked_size
from dynet_ops.random.draws import checked_probability

from .recording import Known, Layers, SequenceRun, Steps
from .state import RNNState, as_vector


def described(name: str, spec: Sequence, model: ParameterCollection, rates: Iterable[float] = ()) -> str:
    """Return the `repr` of a builder. `spec` begins with the number of layers and the sizes of input and output."""
    layers, size, hidden, *_ = spec
    held = holdings([*model.parameters_list(), *model.lookup_parameters_list()])
    found = dict.fromkeys(rates)
    dropout = f"; dropout {', '.join(f'{rate:g}' for rate in found)}" if any(found) else ""
    return f"<{name} {printable(model.name())}: {counted(layers, 'layer')}, {size} to {hidden}; {held}{dropout}>"


MOST = 64  # how many choices of rates and of numbers of weights a network remembers; then it forgets them all

Loaded = tuple[int, list[list[Expression]], Layers, list[Expression]]
"""The version of the graph in which this holds, the parameters of each layer, what is known of recording with them, and
those of them that nodes compute."""


class Latest:
    """What a builder remembers. A copy of the builder starts without it.

    `run` is what the last call of `initial_state` has begun. `start` is the initial state, if all sequences of a graph
    can share one, as without dropout. `steps` records steps without masks. `loaded`: `update` -> the last result of
    `_loaded`. `layers`: the numbers of parameters, or of nodes that compute them -> `Layers`. `tables`: `Steps.kind` ->
    `Steps.known`.
    """

    __slots__ = ("layers", "loaded", "run", "start", "steps", "tables")

    def __init__(self) -> None:
        self.run: Any = None
        self.start: RNNState | None = None
        self.loaded: dict[bool, Loaded] = {}
        self.layers: dict[tuple[int, ...], Layers] = {}
        self.tables: dict[tuple[float, ...], Known] = {}
        self.steps = Steps((), self.table(()))

    def table(self, kind: tuple[float, ...]) -> Known:
        if len(self.tables) >= MOST and kind not in self.tables:
            self.tables.clear()
        return self.tables.setdefault(kind, {})


class Owner(Hinted):
    """Base of what owns a collection with parameters."""

    _model: ParameterCollection

    @contextmanager
    def _own(self, collection: str, model: ParameterCollection, argument: str = "model") -> Iterator[None]:
        """Make a collection in `model`, which messages call `argument`. If the block fails, `model` is as before."""
        if not isinstance(model, ParameterCollection):
            kind = type(model).__name__
            raise ArgumentTypeError(f"{self.whoami()}: {argument} must be a ParameterCollection, not {kind}")
        with model._all_or_nothing():
            self._model = model.add_subcollection(collection)
            yield

    def whoami(self) -> str:
        """Return the name of the class."""
        return type(self).__name__

    def param_collection(self) -> ParameterCollection:
        """Return the collection that holds the parameters."""
        return self._model

    def _add(self, *dims: tuple[int, ...]) -> list[Parameters]:
        """Create a parameter of each shape: biases (vectors) of zeros, matrices by the default initializer."""
        return [self._model.add_parameters(dim, init=ConstInitializer(0.0) if len(dim) == 1 else None) for dim in dims]


class LayersBuilder(Owner, Closed):
    """Base of the builders whose network has layers, each of which reads the outputs of the layer before it.

    A subclass defines `_add_layer`, and sets `_collection`, the name of the collection that will hold its parameters.
    """

    _collection: str
    _listed: int | None = None  # how many parameters of a layer `get_parameters` lists, from the first on; None: all
    _rates: tuple[float, ...] = ()  # the dropout rates; the subclass decides what each of them applies to
    _spec: tuple[Any, ...] = ()
    _latest: Latest
    _run = property(lambda self: self._latest.run)

    def __init__(self, layers: Index, input_dim: Index, hidden_dim: Index, model: ParameterCollection):
        name = self.whoami()
        layers, size = checked_size(name, "layers", layers), checked_size(name, "input_dim", input_dim)
        hidden = checked_size(name, "hidden_dim", hidden_dim)
        self._spec, self._latest = (layers, size, hidden), Latest()
        with self._own(self._collection, model):
            self._parameters = [self._add_layer(hidden if k else size, hidden) for k in range(layers)]

    def _add_layer(self, n: int, m: int) -> list[Parameters]:
        """Create the parameters of a layer of m units with n inputs, in the order of `get_parameters`."""
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any] | tuple[dict[str, Any], dict[str, Any]]:
        """Return the attributes for `copy` and `pickle`, without what belongs to a graph: a copy makes its own."""
        kept = {**self.__dict__, "_latest": Latest()}
        own = object.__getstate__(self)  # the attributes, or if a user's class has slots, these and the slots
        return (kept, own[1]) if isinstance(own, tuple) else kept

    @classmethod
    def from_spec(cls, spec: Sequence[Any], model: ParameterCollection) -> Self:
        """Make a new builder with the sizes and options of another one.

        The values of the other builder's parameters are not copied.

        Args:
            spec: the attribute `spec` of the other builder.
            model: the collection that gets the parameters of the new builder.
        """
        layers, input_dim, hidden_dim, *rest = spec[:9]  # a file may have a range without end
        return cls(layers, input_dim, hidden_dim, model, *rest)

    @property
    def spec(self) -> tuple[object, ...]:
        """The sizes and options of this builder, as a tuple. `from_spec` makes a builder like this one from it.

        It has plain values only, so that `dy.save` can write it to a file.
        """
        return self._spec

    def __repr__(self) -> str:
        return described(self.whoami(), self._spec, self._model, self._rates)

    @method()
    def set_dropout(self, f: Number) -> None:
        """Set all dropout rates of the network to `f`, the probability of dropping a value, in [0, 1)."""
        self._set_rates((checked_probability("set_dropout", f),) * len(self._rates))

    def disable_dropout(self) -> None:
        """Turn dropout off, by setting all dropout rates to 0."""
        self._set_rates((0.0,) * len(self._rates))

    def _set_rates(self, rates: tuple[float, ...]) -> None:
        self._rates = rates

    def get_parameters(self) -> list[list[Parameters]]:
        """Return the parameters as a list with one list for each layer, first layer first."""
        return [layer[: self._listed] for layer in self._parameters]

    def get_parameter_expressions(self) -> list[list[Expression]]:
        """Return the parameters as expressions of the current graph, in a list with one list for each layer.

        Raises:
            ArgumentError: `initial_state` has not been called in the current graph. (ArgumentError is a ValueError.)
        """
        if self._run is None or not self._run.is_current():
            raise ArgumentError(f"get_parameter_expressions: call initial_state of this {self.whoami()} first")
        return [layer[: self._listed] for layer in self._run.expressions]


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

    # Initial states

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
        state = latest.start
        if state is not None and state._run.version == graph.records.version and update is True:
            latest.run = state._run
        else:
            loaded = latest.loaded.get(update)
            if loaded is None or loaded[0] not in (ANY_GRAPH, graph.records.version):
                loaded = self._loaded(graph.records.version, update)
            _, found, layers, computed = loaded
            run = latest.run = SequenceRun(self, graph, found, layers, computed, self._first_steps())
            state = RNNState._made(run, None, layers.start, (), None, [() for _ in self._cell.state])
            if run.steps is latest.steps and update is True and not computed:
                latest.start = state
        if vecs is not None:
            state = state._with_vectors("initial_state", vecs)
            state._prev = None
        return state

    def initial_state_from_raw_vectors(
        self, vecs: Iterable[Iterable[Number]] | None = None, update: bool = True
    ) -> RNNState:
        """Do the same as `initial_state`, with initial vectors that are arrays or lists of numbers."""
        return self.initial_state(None if vecs is None else [inputVector(v) for v in vecs], update)

    def _loaded(self, version: int, update: bool) -> Loaded:
        """Return the parameters for a graph. If `update` is False, they get no gradient from it."""
        latest, names = self._latest, self._names or tuple(self._cell.parameters)
        places = [names.index(name) for name in (*self._cell.pairs, *self._cell.weights)]
        found = [self._expressions(layer, update) for layer in self._parameters]
        read = [[layer[place] for place in places] for layer in self._read(found)]
        computed = [x for layer in read for x in layer if x.version != ANY_GRAPH]
        numbers = tuple([x.at for layer in read for x in layer])
        layers = latest.layers.get(numbers)
        if layers is None:
            if len(latest.layers) >= MOST:
                for table in (latest.layers, latest.tables, latest.steps.known):
                    table.clear()
            layers = latest.layers[numbers] = Layers(self._cell, self._spec[1:3], read)
        loaded = latest.loaded[update] = version if computed else ANY_GRAPH, found, layers, computed
        return loaded

    def _expressions(self, layer: list[Parameters], update: bool) -> list[Expression]:
        return [p.expr(update) for p in layer]

    def _read(self, found: list[list[Expression]]) -> list[list[Expression]]:
        """Return the parameters of each layer as the cell reads them: those that are computed, too."""
        return found

    def _add_layer(self, n: int, m: int) -> list[Parameters]:
        return self._add(*[weight.dims(n, m) for weight in cell_of(type(self)).parameters.values()])

    # Dropout rates, and steps with dropout

    def _is_plain(self) -> bool:
        """Return whether a step computes only the cell of each layer. Here: whether all dropout rates are 0."""
        return not any(self._rates)

    def _set_rates(self, rates: tuple[float, ...]) -> None:
        self._rates, self._latest.start = rates, None
        steps = self._first_steps()
        if self._run is not None:
            self._run.drawn.clear()
            self._run.steps = steps

    def _first_steps(self) -> Steps | None:
        """Return how to record the steps of a new sequence; None if its masks have not been drawn."""
        return self._latest.steps if self._is_plain() else None

    def _steps(self, run: SequenceRun, batch: int) -> Steps | None:
        """Return how to record steps whose input has this batch size, after drawing missing masks."""
        return run.steps

    def _advance(self, state: RNNState, x: Expression) -> RNNState:
        """Record a step with the input x, which `RNNState.add_input` has checked, and return the new state."""
        run, form, graph = state._run, state._form, state._pinned()
        graph_of("add_input", (x,))  # again: a signal handler may have called `cg_revert` since, which also took x
        if x.version == ANY_GRAPH or len(x.type.dims) > 1:
            x = graph.append(as_vector(Dim.of(x.type.dims[:1], x.type.batch)), [x.at])
        places, batches = [], []
        for k, rank in enumerate(form.ranks):
            x = self._drop_input(run, k, x)
            x = run.layers.record(graph, k, x, *self._drop_state(state, k), rank)
            places.append(x.at)
            batches.append(x.type.batch)
        form = run.layers.form(tuple(batches), form.ranks)
        return RNNState._made(run, state, form, tuple(places), self._drop_output(x))

    def _drop_input(self, run: SequenceRun, k: int, x: Expression) -> Expression:
        """Return x, the input of layer k, after dropout. Subclasses override this and the next two methods."""
        return x

    def _drop_state(self, state: RNNState, k: int) -> tuple[Previous, tuple[int, ...]]:
        """Return where the previous state of layer k is after dropout: an entry of `Form.previous`, and the nodes."""
        return state._form.previous[k], state._operands(k)

    def _drop_output(self, h: Expression) -> Expression:
        """Return h, the output of the last layer, after dropout."""
        return h
