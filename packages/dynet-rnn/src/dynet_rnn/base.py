"""Base classes: `ParameterOwner` for objects that own parameters, and `LayersBuilder` for networks with layers."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from dynet_core.annotations import Index, Number
from dynet_core.checks import checked_list
from dynet_core.dim import Dim
from dynet_core.errors import ArgumentError, ArgumentTypeError, ShapeError
from dynet_core.graph import Graph, current
from dynet_core.graph.expression import Expression
from dynet_core.graph.record import graph_of
from dynet_core.initializer import ConstInitializer
from dynet_core.messages.hints import Closed, Hinted, method_with_hints
from dynet_core.messages.wording import counted, printable
from dynet_core.parameter import ParameterCollection, Parameters
from dynet_core.parameter.collection import contents_text
from dynet_core.signature import Signature, alias
from dynet_core.signature.by_sizes import by_sizes
from dynet_ops.layouts import of_rank
from dynet_ops.matrix.products import affine_transform
from dynet_ops.operands import checked_size
from dynet_ops.random.draws import checked_probability
from dynet_ops.shape.joining import concatenate_cols


def repr_of_builder(name: str, spec: Sequence, model: ParameterCollection, rates: Iterable[float] = ()) -> str:
    """Return the `repr` of a builder. `spec` begins with the number of layers and the sizes of input and output."""
    layers, size, hidden, *_ = spec
    contents = contents_text(model._all_parameters())
    distinct_rates = dict.fromkeys(rates)
    dropout = f"; dropout {', '.join(f'{rate:g}' for rate in distinct_rates)}" if any(distinct_rates) else ""
    return f"<{name} {printable(model.name())}: {counted(layers, 'layer')}, {size} to {hidden}; {contents}{dropout}>"


def check_vector(x_name: str, x: Dim, reader_name: str, size: int) -> None:
    """Raise ShapeError if x is not a vector of this size. Trailing 1s are allowed.

    The message calls x `x_name`, such as "add_input: the input", and what takes x `reader_name`, such as "the network".
    """
    if of_rank(x.dims, 1) != (size,):
        reshape_hint = f"; reshape it to {(size,)} x {x.columns}" if x.rows == size and x.batch == 1 else ""
        list_hint = "; transduce and add_inputs take a list: [x]" * (x.total == 1 and reader_name == "the network")
        raise ShapeError(f"{x_name} is {x!r}, {reader_name} takes {(size,)}{reshape_hint}{list_hint}")


def as_columns(name: str, x: Expression | Iterable[Expression], reader_name: str, size: int) -> Expression:
    """Return x as a matrix with a column for each vector of a sequence. x is a matrix, or a list of vectors."""
    if not isinstance(x, Expression):
        vectors = checked_list(name, x, "expressions")
        graph_of(name, vectors)
        for k, vector in enumerate(vectors):
            check_vector(f"{name}: vector {k}", vector.type, reader_name, size)
        if not vectors:
            raise ArgumentError(f"{name}: the sequence is empty")
        x = concatenate_cols(vectors)
    graph_of(name, (x,))
    if x.type.dims[0] != size or len(x.type.dims) > 2:
        raise ShapeError(
            f"{name}: {x.type!r} is not ({size}, n), which {reader_name} takes for a sequence of n vectors"
        )
    return x


def affine(parameters: Sequence[Parameters], x: Expression, is_trained: bool) -> Expression:
    """Return W x + b for the parameters W and b, or W x for W alone."""
    weights, *bias = parameters if is_trained else [p.expr(False) for p in parameters]
    return affine_transform([*bias, weights, x]) if bias else weights * x


@by_sizes
def state_value_signature(dim: Dim, index: int) -> Signature:
    """Return the signature of an alias of value `index` of a state: 0 is h, 1 is c. `dim` is the Dim of each value.

    The operand is a time step or a tree node, whose memory begins with these values. The gradient of c includes the
    gradient through h, which is computed from c.
    """
    return alias(dim, offset=index * dim.total, has_gradient_of_whole=True)


@dataclass(slots=True, eq=False)
class Run:
    """What all states that derive from one call of a builder's `initial_state` have in common.

    `expressions` has each layer's parameters as expressions. `version` is the graph's version at that call.
    """

    builder: Any
    graph: Graph
    version: int
    expressions: list[list[Expression]]

    def is_current(self) -> bool:
        """Return whether the graph is this thread's and has not been renewed since `initial_state`."""
        return self.graph is current() and self.graph._had_version(self.version)


class ParameterOwner(Hinted):
    """Base of objects that own a collection of parameters."""

    _model: ParameterCollection

    @contextmanager
    def _in_new_collection(self, name: str, model: ParameterCollection, argument_name: str = "model") -> Iterator[None]:
        """Set `_model` to a new collection in `model`. If the `with` block raises, remove the collection."""
        if not isinstance(model, ParameterCollection):
            class_name = type(model).__name__
            raise ArgumentTypeError(f"{self.whoami()}: {argument_name} must be a ParameterCollection, not {class_name}")
        with model._undo_on_error():
            self._model = model.add_subcollection(name)
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


class WithDropout(ParameterOwner):
    """Base of objects with dropout rates."""

    _rates: tuple[float, ...] = ()  # the subclass decides what each applies to

    @method_with_hints()
    def set_dropout(self, f: Number) -> None:
        """Set all dropout rates of the network to `f`, the probability of dropping a value, in [0, 1)."""
        self._set_dropout_rates((checked_probability("set_dropout", f),) * len(self._rates))

    def disable_dropout(self) -> None:
        """Turn dropout off, by setting all dropout rates to 0."""
        self._set_dropout_rates((0.0,) * len(self._rates))

    def _set_dropout_rates(self, rates: tuple[float, ...]) -> None:
        self._rates = rates


class LayerBuilder(ParameterOwner, Closed):
    """Base of layers whose `spec` has the arguments of `__init__`, except for the collection after the first few."""

    _size_count: int  # how many arguments are before the collection
    spec: tuple[object, ...] = ()

    @classmethod
    def from_spec(cls, spec: Sequence[Any], model: ParameterCollection) -> Self:
        """Make a new layer from the `spec` of another one. `model` gets its parameters; values are not copied."""
        make: Any = cls
        return make(*spec[: cls._size_count], model, *spec[cls._size_count : 9])  # as in `LayersBuilder.from_spec`

    def __repr__(self) -> str:
        contents = contents_text(self._model.parameters_list())
        return f"<{self.whoami()} {self._model.name()}: {self._described()}; {contents}>"

    def _described(self) -> str:
        raise NotImplementedError


class Latest:
    """Attributes of a builder that its copies do not get. `run` is the `Run` of the last `initial_state` call."""

    run: Any = None


class LayersBuilder(WithDropout, Closed):
    """Base of the builders of networks with layers. Each layer reads the outputs of the layer before it.

    A subclass defines `_add_layer`, and sets `_collection`, the name of the collection that will hold its parameters.
    """

    _collection: str
    _listed_count: int | None = None  # how many parameters of a layer `get_parameters` lists; None means all
    _spec: tuple[Any, ...] = ()
    _latest: Any = functools.cached_property(lambda self: Latest())
    _run = property(lambda self: self._latest.run)

    def __init__(self, layers: Index, input_dim: Index, hidden_dim: Index, model: ParameterCollection):
        name = self.whoami()
        layers, size = checked_size(name, "layers", layers), checked_size(name, "input_dim", input_dim)
        hidden = checked_size(name, "hidden_dim", hidden_dim)
        self._spec = layers, size, hidden
        with self._in_new_collection(self._collection, model):
            self._parameters = [self._add_layer(hidden if k else size, hidden) for k in range(layers)]

    def _add_layer(self, n: int, m: int) -> list[Parameters]:
        """Create the parameters of a layer of m units with n inputs, in the order of `get_parameters`."""
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any] | tuple[dict[str, Any], dict[str, Any]]:
        """Return the attributes for `copy` and `pickle`, without `_latest`, which belongs to a graph."""
        attributes = {**vars(self)}
        attributes.pop("_latest", None)
        default_state = object.__getstate__(self)  # the attributes; if a user's class has slots, (attributes, slots)
        return (attributes, default_state[1]) if isinstance(default_state, tuple) else attributes

    def __setstate__(self, state: Any) -> None:
        attributes, slots = state if isinstance(state, tuple) else (state, {})
        for name, value in (attributes | slots).items():
            if name != "_latest":  # pickles of earlier versions have it
                object.__setattr__(self, name, value)

    @classmethod
    def from_spec(cls, spec: Sequence[Any], model: ParameterCollection) -> Self:
        """Make a new builder with the sizes and options of another one. Parameter values are not copied.

        Args:
            spec: the attribute `spec` of the other builder.
            model: the collection that gets the parameters of the new builder.
        """
        layers, input_dim, hidden_dim, *rest = spec[:9]  # no spec has over 9 items, but a file may have a huge `range`
        return cls(layers, input_dim, hidden_dim, model, *rest)

    @property
    def spec(self) -> tuple[object, ...]:
        """The sizes and options of this builder: a tuple of plain values that `dy.save` can write. See `from_spec`."""
        return self._spec

    def __repr__(self) -> str:
        return repr_of_builder(self.whoami(), self._spec, self._model, self._rates)

    def get_parameters(self) -> list[list[Parameters]]:
        """Return the parameters in one list per layer, first layer first."""
        return [layer[: self._listed_count] for layer in self._parameters]

    def get_parameter_expressions(self) -> list[list[Expression]]:
        """Return the parameters as expressions of the current graph, in one list per layer, first layer first.

        Raises:
            ArgumentError: `initial_state` has not been called in the current graph. (ArgumentError is a ValueError.)
        """
        if self._run is None or not self._run.is_current():
            raise ArgumentError(f"get_parameter_expressions: call initial_state of this {self.whoami()} first")
        return [layer[: self._listed_count] for layer in self._run.expressions]
