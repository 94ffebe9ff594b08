"""The base classes of builders.

A builder owns the parameters of a network. It also makes initial states, whose methods read sequences or trees.
`LayersBuilder` has what all networks with several layers share. `_RNNBuilder` adds what networks that read sequences
need: dropout, and a *cell*, which holds the equations for one step of one layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

from dynet_core.annotations import Index, Number
from dynet_core.dim import Dim
from dynet_core.errors import ArgumentError, ArgumentTypeError
from dynet_core.expression import Expression
from dynet_core.graph import current
from dynet_core.hints import Closed
from dynet_core.initializer import ConstInitializer
from dynet_core.keyword_hints import method
from dynet_core.parameter import ParameterCollection, Parameters
from dynet_core.parameter.summary import holdings
from dynet_core.wording import counted, printable
from dynet_ops.input.inputs import inputVector
from dynet_ops.network.cell_description import Cell
from dynet_ops.operands import checked_size
from dynet_ops.random.dropouts import checked_probability

from .layers import Form, Layers
from .run import SequenceRun
from .state import RNNState
from .steps import Steps, nodes_of


def described(name: str, spec: Sequence, model: ParameterCollection, rates: Iterable[float] = ()) -> str:
    """Return the `repr` of a builder as one line of text.

    Args:
        name: the name of the builder's class.
        spec: a tuple that begins with the number of layers, the size of an input and the size of an output.
        model: the collection that holds the builder's parameters.
        rates: the dropout rates. The text mentions them only if one is not 0.
    """
    layers, size, hidden, *_ = spec
    held = holdings([*model.parameters_list(), *model.lookup_parameters_list()])
    found = dict.fromkeys(rates)
    dropout = f"; dropout {', '.join(f'{rate:g}' for rate in found)}" if any(found) else ""
    return f"<{name} {printable(model.name())}: {counted(layers, 'layer')}, {size} to {hidden}; {held}{dropout}>"


MOST_ALIKE = 64  # how many `Layers` a builder keeps for later graphs


class Latest:
    """What the last call of `initial_state` has begun.

    Attributes:
        run: the `Run` of its states; None before the first call.
        start: the initial state, if all sequences of a graph can share one, as without dropout. None: make a new one.
    """

    __slots__ = ("run", "start")

    def __init__(self) -> None:
        self.run = self.start = None


class LayersBuilder(Closed):
    """Base of the builders whose network has layers, each of which reads the outputs of the layer before it.

    A subclass defines `_add_layer`, and sets `_collection`, the name of the collection that will hold its parameters.
    """

    _collection: str
    _listed: int | None = None  # how many parameters of a layer `get_parameters` lists, from the first on; None: all
    _rates: tuple[float, ...] = ()  # the dropout rates; the subclass decides what each of them applies to
    _spec: tuple[Any, ...] = ()
    _latest: Any  # a `Latest`
    _run = property(lambda self: self._latest.run)
    _alike: dict[tuple[int, ...], Any]  # what `_RNNBuilder` keeps for later graphs
    _known: dict[bool, Any]  # what `_RNNBuilder` keeps for later calls of `initial_state`

    def __init__(self, layers: Index, input_dim: Index, hidden_dim: Index, model: ParameterCollection):
        name = self.whoami()
        layers, size = checked_size(name, "layers", layers), checked_size(name, "input_dim", input_dim)
        hidden = checked_size(name, "hidden_dim", hidden_dim)
        if not isinstance(model, ParameterCollection):
            raise ArgumentTypeError(f"{name}: model must be a ParameterCollection, not {type(model).__name__}")
        self._spec, self._known, self._alike, self._latest = (layers, size, hidden), {}, {}, Latest()
        self._model = model.add_subcollection(self._collection)
        self._parameters = [self._add_layer(hidden if k else size, hidden) for k in range(layers)]

    def _add_layer(self, n: int, m: int) -> list[Parameters]:
        """Create the parameters of a layer that reads vectors of size n and has m hidden units.

        Return them in the order in which `get_parameters` lists them.
        """
        raise NotImplementedError

    def _add(self, *dims: tuple[int, ...]) -> list[Parameters]:
        """Create a parameter for each shape in `dims`, and return them.

        Vectors are biases and start at zero. Matrices start with the values of the default initializer.
        """
        zero = ConstInitializer(0.0)
        return [self._model.add_parameters(dim, init=zero if len(dim) == 1 else None) for dim in dims]

    def __getstate__(self) -> dict[str, Any] | tuple[dict[str, Any], dict[str, Any]]:
        """Return the attributes for `copy` and `pickle`, without what belongs to a graph: a copy makes its own."""
        empty = {"_latest": Latest(), "_known": {}, "_computed": {}, "_alike": {}}
        kept = {**self.__dict__, **{name: value for name, value in empty.items() if name in self.__dict__}}
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
        layers, input_dim, hidden_dim, *rest = spec
        return cls(layers, input_dim, hidden_dim, model, *rest)

    @property
    def spec(self) -> tuple[object, ...]:
        """The sizes and options of this builder, as a tuple. `from_spec` makes a builder like this one from it.

        It has plain values only, so that `dy.save` can write it to a file.
        """
        return self._spec

    def whoami(self) -> str:
        """Return the name of the builder's class."""
        return type(self).__name__

    def __repr__(self) -> str:
        return described(self.whoami(), self._spec, self._model, self._rates)

    def param_collection(self) -> ParameterCollection:
        """Return the collection that holds the builder's parameters."""
        return self._model

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


class _RNNBuilder(LayersBuilder):
    """Base of the builders of networks that read sequences.

    A subclass sets `_cell`, which holds the equations for one step of a layer, and the shapes of the parameters in
    them by name. If a layer has more parameters than these, or has them in another order, the subclass also sets
    `_names`: the names of all parameters of a layer.
    """

    _cell: Cell
    _names: tuple[str, ...] = ()
    _known: dict[bool, tuple[list[list[Expression]], Layers]]  # `update` -> result of `_loaded`
    _alike: dict[tuple[int, ...], Layers]  # `Layers.numbers` -> a `Layers` that has these

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
            found, layers = self._known.get(update) or self._loaded(update)
            run = latest.run = SequenceRun(self, graph, layers, found, self._is_plain())
            state = RNNState.start(run)
            if run.plain and update is True and True in self._known:
                latest.start = state
        if vecs is not None:
            state = state.with_vectors("initial_state", vecs)
            state._prev = None
        return state

    def initial_state_from_raw_vectors(
        self, vecs: Iterable[Iterable[Number]] | None = None, update: bool = True
    ) -> RNNState:
        """Do the same as `initial_state`, with initial vectors that are arrays or lists of numbers."""
        return self.initial_state(None if vecs is None else [inputVector(v) for v in vecs], update)

    def _loaded(self, update: bool) -> tuple[list[list[Expression]], Layers]:
        """Return the parameters of each layer as expressions, and a `Layers` object, which adds steps to the graph.

        If `update` is False, the parameters get no gradient from these steps.
        """
        found = [[p.expr(update) for p in layer] for layer in self._parameters]
        self._known[update] = found, self._layers(found)
        return self._known[update]

    def _add_layer(self, n: int, m: int) -> list[Parameters]:
        return self._add(*[weight.dims(n, m) for weight in self._cell.parameters.values()])

    def _layers(self, parameters: list[list[Expression]]) -> Layers:
        cell, names = self._cell, self._names or tuple(self._cell.parameters)
        pairs, weights = ([names.index(name) for name in some] for some in (cell.pairs, cell.weights))
        made = Layers(
            cell,
            [[layer[k] for k in pairs] for layer in parameters],
            [[layer[k] for k in weights] for layer in parameters],
        )
        if made.computed:  # in each graph anew, but the nodes often have the same numbers
            if len(self._alike) == MOST_ALIKE:
                self._alike.clear()
            made.share(self._alike.setdefault(made.numbers(), made))
        return made

    # Dropout rates, and steps with dropout

    def _is_plain(self) -> bool:
        """Return whether a step computes only the cell of each layer. Here: whether all dropout rates are 0."""
        return not any(self._rates)

    @method()
    def set_dropout(self, f: Number) -> None:
        """Set all dropout rates of the network to `f`.

        Args:
            f: the probability of dropping a value, in [0, 1).
        """
        self._set_rates((checked_probability("set_dropout", f),) * len(self._rates))

    def disable_dropout(self) -> None:
        """Turn dropout off, by setting all dropout rates to 0."""
        self._set_rates((0.0,) * len(self._rates))

    def _set_rates(self, rates: tuple[float, ...]) -> None:
        self._rates, self._latest.start = rates, None
        if self._run is not None:
            self._run.plain = self._is_plain()
            self._run.masks_drawn.clear()
            self._run.steps = None

    def advance(self, state: RNNState, x: Expression) -> RNNState:
        """Read the input x, with dropout, and return the new state.

        Args:
            state: the state before this step.
            x: the input. `RNNState.add_input`, which comes here if `_is_plain` returns False, has checked it.
        """
        run, graph, values = state._run, state.pinned(), len(self._cell.state)
        places, batches = [], []
        for k, previous in enumerate(state._form.previous):
            x, operands = self._drop_input(run, k, x), state.operands(k)
            if isinstance(previous, int):
                operands = operands * values
                previous = tuple([(previous, value * run.layers.hidden * previous) for value in range(values)])
            before = self._drop_state(state, k, list(zip(previous, operands)))
            x = run.layers.record(graph, k, x, before, state._form.ranks[k])
            places.append(x.at)
            batches.append(x.type.batch)
        form = run.layers.form(tuple(batches), state._form.ranks)
        return RNNState.made(run, state, form, tuple(places), self._drop_output(x))

    def _advance(self, state: RNNState, x: Expression) -> RNNState:
        """Do the same as `advance`, and learn to record such steps."""
        run = state._run
        steps = self._steps(run, x.type.batch)
        found, form, places = steps.read(run.version, state._form, nodes_of(state), [x])
        if found:
            return RNNState.made(run, state, form, places, found[0])
        observed = steps.observe(state, x)
        new = self.advance(state, x)
        if observed:
            steps.learn(observed, state, x, new)
        return new

    def _steps_of(self, run: SequenceRun, form: Form, x: Dim) -> Steps | None:
        """Return how to record steps with dropout. Return None if it is not known whether the input fits.

        Args:
            run: what the states of the sequence have in common.
            form: the form of the state.
            x: the Dim of the input.
        """
        return self._steps(run, x.batch)

    def _steps(self, run: SequenceRun, batch: int) -> Steps:
        """Return how to record steps with dropout.

        Args:
            run: what the states of the sequence have in common.
            batch: the batch size of the input, for masks that have not been drawn.
        """
        steps = run.layers.steps
        if steps is None or steps.kind is not self._rates:
            steps = run.layers.steps = Steps(run.layers, self._rates)
        return steps

    def _drop_input(self, run: SequenceRun, k: int, x: Expression) -> Expression:
        """Return x, the input of layer k, after dropout. Here it is unchanged; subclasses override this."""
        return x

    def _drop_state(self, state: RNNState, k: int, before: list[Any]) -> list[Any]:
        """Return the previous state of layer k after dropout. Here it is unchanged; subclasses override this.

        Args:
            state: the previous state of all layers.
            k: the number of the layer.
            before: where the previous state of the layer is: ((batch size, offset), node number) for each of its
                values, such as h and c. The value starts `offset` floats after the start of the node's memory.

        Returns:
            Where the values after dropout are, in the same form as `before`.
        """
        return before

    def _drop_output(self, h: Expression) -> Expression:
        """Return h, the output of the last layer, after dropout. Here it is unchanged; subclasses override this."""
        return h
