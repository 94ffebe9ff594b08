"""`BiRNNBuilder`: recurrent networks that read a sequence in both directions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dynet_core.annotations import Index, Number
from dynet_core.checks import checked_list
from dynet_core.errors import ArgumentError, ArgumentTypeError
from dynet_core.graph.expression import Expression
from dynet_core.parameter import ParameterCollection
from dynet_ops.operands import checked_size
from dynet_ops.shape.joining import concatenate

from .base import Owner, _RNNBuilder, described
from .state import RNNState


class BiRNNBuilder(Owner):
    """A bidirectional network. Each layer is a pair of networks: one reads the sequence forwards, one backwards.

    Their outputs are concatenated, and the next layer reads the results.

    Args:
        num_layers: the number of layers, that is, of pairs.
        input_dim: the size of an input.
        hidden_dim: the size of an output, an even number. Each network of a pair computes half of it.
        model: the collection that gets the parameters.
        rnn_builder_factory: the builder class of the networks, such as `VanillaLSTMBuilder`, or a function that makes a
            builder. It is called twice for each layer, with (1, size of the layer's inputs, hidden_dim / 2, a
            collection for the parameters).
        builder_layers: existing builders to use instead of new ones, as a pair (forward, backward) for each layer.

    Raises:
        ArgumentError: hidden_dim is odd, num_layers is 0, or neither a factory nor existing builders are given.
        ArgumentTypeError: the factory is neither a class of builders nor a function that makes builders, an existing
            builder is not one, or `model` is not a collection.

    Source: Schuster and Paliwal, "Bidirectional recurrent neural networks", 1997.

    >>> network = dy.BiRNNBuilder(1, 2, 6, dy.Model(), dy.VanillaLSTMBuilder)
    >>> [y.dim() for y in network.transduce([dy.inputVector([1, 2]), dy.inputVector([3, 4])])]
    [((6,), 1), ((6,), 1)]
    """

    def __init__(
        self,
        num_layers: Index,
        input_dim: Index,
        hidden_dim: Index,
        model: ParameterCollection,
        rnn_builder_factory: Callable[..., _RNNBuilder] | None,
        builder_layers: Sequence[tuple[_RNNBuilder, _RNNBuilder]] | None = None,
    ):
        self.model: ParameterCollection = model
        self.builder_layers: list[tuple[_RNNBuilder, _RNNBuilder]]
        if builder_layers is not None:
            given = checked_list("BiRNNBuilder: builder_layers", builder_layers)
            self.builder_layers = [_checked_pair(pair) for pair in given]
            num_layers = len(given)
        else:
            num_layers = checked_size("BiRNNBuilder", "num_layers", num_layers)
            input_dim = checked_size("BiRNNBuilder", "input_dim", input_dim)
            hidden_dim = checked_size("BiRNNBuilder", "hidden_dim", hidden_dim)
            if hidden_dim % 2:
                raise ArgumentError(f"BiRNNBuilder: hidden_dim must be even, got {hidden_dim}")
            if rnn_builder_factory is None:
                raise ArgumentError("BiRNNBuilder: either rnn_builder_factory or builder_layers is needed")
            _check_factory(rnn_builder_factory)
            with self._own("birnn", model):
                self.model, half = self._model, hidden_dim // 2
                self.builder_layers = [
                    (self._made(rnn_builder_factory, size, half), self._made(rnn_builder_factory, size, half))
                    for size in (hidden_dim if k else input_dim for k in range(num_layers))
                ]
        self.spec: tuple[object, ...] = (num_layers, input_dim, hidden_dim, rnn_builder_factory, builder_layers)

    def _made(self, factory: Callable[..., Any], size: int, half: int) -> _RNNBuilder:
        made = factory(1, size, half, self.model)
        if not _is_builder(made):
            raise ArgumentTypeError(f"BiRNNBuilder: rnn_builder_factory must return a builder, not {made!r:.80}")
        return made

    @classmethod
    def from_spec(cls, spec: Sequence[Any], model: ParameterCollection) -> BiRNNBuilder:
        """Make a new bidirectional network with the sizes and options of another one. Parameter values are not copied.

        Args:
            spec: the attribute `spec` of the other network. If it contains existing builders, they are used again.
            model: the collection that gets the parameters of new builders.
        """
        layers, input_dim, hidden_dim, factory, pairs = spec
        if factory is not None:  # a file may name any class of ours
            _check_factory(factory)
        if pairs is not None and layers != len(pairs := [_checked_pair(pair) for pair in pairs]):
            raise ArgumentError(f"BiRNNBuilder: the spec has {layers!r:.40} layers, but builders for {len(pairs)}")
        return cls(layers, input_dim, hidden_dim, model, factory, pairs)

    def __repr__(self) -> str:
        rates = [rate for builder in self._builders() for rate in builder._rates]
        return described(self.whoami(), self.spec, self.model, rates)

    def param_collection(self) -> ParameterCollection:
        """Return the collection that holds the parameters, or the argument `model` if existing builders are used."""
        return self.model

    def set_dropout(self, p: Number) -> None:
        """Set all dropout rates of all networks to `p`, a number in [0, 1)."""
        for builder in self._builders():
            builder.set_dropout(p)

    def disable_dropout(self) -> None:
        """Turn dropout off in all networks, by setting their dropout rates to 0."""
        for builder in self._builders():
            builder.disable_dropout()

    def _builders(self) -> list[_RNNBuilder]:
        return [builder for pair in self.builder_layers for builder in pair]

    def transduce(self, es: Iterable[Expression]) -> list[Expression]:
        """Read a sequence. For each input, return the outputs of the last layer's two networks, concatenated."""
        return self._outputs(checked_list("transduce", es), self.builder_layers)

    def _outputs(self, es: list[Expression], layers: Sequence[tuple[_RNNBuilder, _RNNBuilder]]) -> list[Expression]:
        for forward, backward in layers:
            fs = forward.initial_state().transduce(es)
            bs = backward.initial_state().transduce(es[::-1])
            es = [concatenate([f, b]) for f, b in zip(fs, reversed(bs))]
        return es

    def add_inputs(self, es: Iterable[Expression]) -> list[tuple[RNNState, RNNState]]:
        """Read a sequence. For each input, return the states of the last layer's two networks: (forward, backward).

        The forward network has read the sequence from its start to this input, the backward network from its end.
        """
        es = self._outputs(checked_list("add_inputs", es), self.builder_layers[:-1])
        forward, backward = self.builder_layers[-1]
        fs = forward.initial_state().add_inputs(es)
        bs = backward.initial_state().add_inputs(es[::-1])
        return list(zip(fs, reversed(bs)))


def _is_builder(x: Any) -> bool:
    return hasattr(x, "initial_state") and not isinstance(x, type)


def _check_factory(factory: Any) -> None:
    if isinstance(factory, type) and not hasattr(factory, "initial_state"):
        raise ArgumentTypeError(
            f"BiRNNBuilder: {factory.__name__} is not a class of one-directional builders, such as VanillaLSTMBuilder"
        )
    if _is_builder(factory) or not callable(factory):
        use = f": give the class, {type(factory).__name__}" if _is_builder(factory) else ""
        raise ArgumentTypeError(
            "BiRNNBuilder: rnn_builder_factory must be a class of builders, such as VanillaLSTMBuilder, or a function "
            f"that makes builders, not {factory!r:.80}{use}"
        )


def _checked_pair(pair: Any) -> tuple[Any, Any]:
    """Return an item of `builder_layers`. Raise ArgumentTypeError if it is no pair of builders."""
    items = tuple(pair) if isinstance(pair, (tuple, list)) else ()
    if len(items) != 2 or not all(map(_is_builder, items)):
        raise ArgumentTypeError(
            f"BiRNNBuilder: builder_layers must be pairs of builders, (forward, backward), not {pair!r:.80}"
        )
    return items
