"""The builders of networks that read sequences: simple, GRU, LSTM and bidirectional networks."""

from __future__ import annotations

import functools
import itertools
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import numpy as np

from dynet_core import config
from dynet_core.annotations import Index, Number
from dynet_core.checks import NOT_NEGATIVE, UNIT_INTERVAL, checked_flag, checked_list, checked_number
from dynet_core.errors import ArgumentError, ArgumentTypeError
from dynet_core.files.tensors import EXPLAINERS
from dynet_core.graph.expression import Expression
from dynet_core.initializer import ConstInitializer
from dynet_core.parameter import ParameterCollection, Parameters
from dynet_ops.elementwise.arithmetic import cmult
from dynet_ops.elementwise.functions import logistic, tanh
from dynet_ops.input.inputs import inputVector
from dynet_ops.network.norm import layer_norm
from dynet_ops.network.recurrent import CELLS, sigmoid
from dynet_ops.operands import checked_size
from dynet_ops.random.draws import noise
from dynet_ops.select.picking import pickrange
from dynet_ops.shape.joining import concatenate

from .attention import (
    LearnedPositionsBuilder,
    MultiHeadAttentionBuilder,
    TransformerDecoderLayerBuilder,
    TransformerEncoderLayerBuilder,
)
from .base import ParameterOwner, repr_of_builder
from .biaffine import BiaffineBuilder
from .crf import CRFBuilder, bio_constraints
from .dropout import Variational, Vertical
from .registry import Reference, register
from .sequences import LoadedParameters, RNNState, StackedRNNState, _RNNBuilder
from .softmax import (
    AdaptiveSoftmaxBuilder,
    ClassFactoredSoftmaxBuilder,
    HierarchicalSoftmaxBuilder,
    SoftmaxBuilder,
    StandardSoftmaxBuilder,
)
from .structures import pass_messages, transduce
from .torch_modules import set_torch_weights, torch_weights
from .tree import ChildSumTreeLSTMBuilder, NaryTreeLSTMBuilder, TreeState


@register()
class SimpleRNNBuilder(Variational):
    r"""A simple recurrent network, also called an Elman network: one matrix for inputs, one for states, and tanh.

    .. math:: h_t = \tanh(W_{hx} x_t + W_{hh} h_{t-1} + b_h)

    Args:
        layers: the number of layers. Each reads the outputs of the layer before.
        input_dim: the size of an input.
        hidden_dim: the size of h, the state and output of a layer.
        model: the collection that gets the parameters: for each layer :math:`W_{hx}, W_{hh}, b_h`.

    Source: Elman, "Finding structure in time", 1990.

    >>> rnn = dy.SimpleRNNBuilder(2, 3, 4, dy.Model())
    >>> [y.dim() for y in rnn.initial_state().transduce([dy.inputVector([1, 2, 3])])]
    [((4,), 1)]
    """

    _cell, _collection = CELLS["simple_rnn_step"], "simple-rnn-builder"


@register()
class GRUBuilder(Vertical):
    r"""A network of gated recurrent units (GRU).

    .. math::

        z_t &= \sigma(W_{zx} x_t + W_{zh} h_{t-1} + b_z) \\
        r_t &= \sigma(W_{rx} x_t + W_{rh} h_{t-1} + b_r) \\
        \tilde h_t &= \tanh(W_{hx} x_t + W_{hh} (r_t \circ h_{t-1}) + b_h) \\
        h_t &= (1 - z_t) \circ h_{t-1} + z_t \circ \tilde h_t

    where z is the update gate, r the reset gate, and :math:`\circ` the elementwise product.

    Args:
        layers: the number of layers. Each reads the outputs of the layer before.
        input_dim: the size of an input.
        hidden_dim: the size of h, the state and output of a layer.
        model: the collection that gets the parameters: for each layer
            :math:`W_{zx}, W_{zh}, b_z, W_{rx}, W_{rh}, b_r, W_{hx}, W_{hh}, b_h`.

    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014.

    >>> gru = dy.GRUBuilder(1, 3, 4, dy.Model())
    >>> [y.dim() for y in gru.initial_state().transduce([dy.inputVector([1, 2, 3])])]
    [((4,), 1)]
    """

    _cell, _collection = CELLS["gru_step"], "gru-builder"


LSTM_CELL = CELLS["lstm_step"]
FORGET_BIAS = LSTM_CELL.numbers["forget_bias"]


# References for tests: steps of LSTMs in numpy.


def _vanilla_reference(forget_bias: float) -> Reference:
    return functools.partial(LSTM_CELL.reference, forget_bias=forget_bias)  # type: ignore[arg-type]


def _normalized_reference(x, h, c, Wx, Wh, b, gh, bh, gx, bx, gc, bc):
    def norm(v, g, b):
        return g * (v - v.mean(0)) / v.std(0) + b

    recurrent_sum = norm(Wh @ h, gh, bh) if h.any() else 0  # h is 0 in the first step, so std would be 0
    i, f, o, g = np.split(b + norm(Wx @ x, gx, bx) + recurrent_sum, 4)
    c = sigmoid(f + FORGET_BIAS) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(norm(c, gc, bc)), c


def _sparse_reference(forget_bias: float) -> Reference:
    step = _vanilla_reference(forget_bias)
    return lambda x, h, c, Wx, Wh, b, Mx, Mh: step(x, h, c, Wx * Mx, Wh * Mh, b)


@register(({"forget_bias": 0.25}, _vanilla_reference(0.25)), ({"ln_lstm": True}, _normalized_reference))
class VanillaLSTMBuilder(Variational):
    r"""An LSTM network with separate input and forget gates and without peepholes.

    .. math::

        i_t &= \sigma(W_{ix} x_t + W_{ih} h_{t-1} + b_i) \\
        f_t &= \sigma(W_{fx} x_t + W_{fh} h_{t-1} + b_f + 1) \\
        o_t &= \sigma(W_{ox} x_t + W_{oh} h_{t-1} + b_o) \\
        \tilde c_t &= \tanh(W_{cx} x_t + W_{ch} h_{t-1} + b_c) \\
        c_t &= c_{t-1} \circ f_t + \tilde c_t \circ i_t \\
        h_t &= \tanh(c_t) \circ o_t

    where i, f and o are the input, forget and output gates, and :math:`\circ` is the elementwise product.

    Args:
        layers: the number of layers. Each reads the outputs of the layer before.
        input_dim: the size of an input.
        hidden_dim: the size of h, the output of a layer, and of c, its memory.
        model: the collection that gets the parameters: for each layer :math:`W_x` (4 hidden_dim, input size),
            :math:`W_h` (4 hidden_dim, hidden_dim) and :math:`b` (4 hidden_dim). The first hidden_dim rows of each are
            for i, the next for f, then for o and :math:`\tilde c`.
        ln_lstm: whether to apply layer normalization to :math:`W_x x`, :math:`W_h h` and c. This adds six parameters
            to each layer. They belong to `model` itself, as in DyNet, and `get_parameters` does not list them.
        forget_bias: the value added to :math:`b_f`, which is 1 in the formula.

    Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997; forget gate: Gers et al., 2000.

    >>> lstm = dy.VanillaLSTMBuilder(1, 3, 4, dy.Model())
    >>> outputs = lstm.initial_state().transduce([dy.inputVector([1, 2, 3]), dy.inputVector([4, 5, 6])])
    >>> [y.dim() for y in outputs]
    [((4,), 1), ((4,), 1)]
    """

    _cell, _collection = LSTM_CELL, "vanilla-lstm-builder"
    _listed_count = 3

    def __init__(
        self,
        layers: Index,
        input_dim: Index,
        hidden_dim: Index,
        model: ParameterCollection,
        ln_lstm: bool = False,
        forget_bias: Number = FORGET_BIAS,
    ):
        has_norms = checked_flag(self.whoami(), "ln_lstm", ln_lstm)
        self._norms_in = model if has_norms else None  # the collection of layer normalization's parameters
        self._forget_bias = checked_number(f"{self.whoami()}: forget_bias", forget_bias)
        super().__init__(layers, input_dim, hidden_dim, model)
        self._spec = (*self._spec, has_norms, self._forget_bias)

    def _add_layer(self, n: int, m: int) -> list[Parameters]:
        return [*super()._add_layer(n, m), *self._add_norms(m)]

    def _add_norms(self, m: int) -> list[Parameters]:
        """Create the parameters for normalizing a layer of m units; none without layer normalization."""
        if self._norms_in is None:
            return []
        gains_and_biases = itertools.product((4 * m, 4 * m, m), (1.0, 0.0))
        return [self._norms_in.add_parameters((n,), init=ConstInitializer(value)) for n, value in gains_and_biases]

    @property
    def _outside_parameters(self) -> list[Parameters]:
        """The parameters of layer normalization. Files of the builder have them, though its collection does not."""
        own_name = self.param_collection().name()
        return [p for layer in self._parameters for p in layer if not p.name().startswith(own_name)]

    def _cell_weights(self, expressions: list[list[Expression]]) -> list[list[Expression]]:
        shift = self._forget_bias - FORGET_BIAS  # the cell itself adds FORGET_BIAS
        if not shift or self._norms_in is not None:
            return expressions
        m = self._spec[2]
        shifts = inputVector([0.0] * m + [shift] * m + [0.0] * 2 * m)  # for the gates i, f, o, g
        return [[Wx, Wh, b + shifts] for Wx, Wh, b, *_ in expressions]

    def _runs_only_cells(self) -> bool:
        return self._norms_in is None and super()._runs_only_cells()

    def _advance(self, state: RNNState, x: Expression) -> RNNState:
        if self._norms_in is None:
            return super()._advance(state, x)
        run, h, hs, cs = state._run, state.h(), [], []
        for k, (Wx, Wh, b, gh, bh, gx, bx, gc, bc) in enumerate(run.expressions):
            gates = b + layer_norm(Wx * self._input_after_dropout(run, k, x), gx, bx)
            if h:
                gates = gates + layer_norm(Wh * self._masked(run, k, 1, h[k]), gh, bh)
            m = self._spec[2]
            i, f, o, g = [pickrange(gates, part * m, part * m + m) for part in range(4)]
            c = cmult(logistic(i), tanh(g))
            if h:
                c = c + cmult(logistic(f + self._forget_bias), state._vectors_of(1)[k])
            x = cmult(logistic(o), tanh(layer_norm(c, gc, bc)))
            hs.append(x)
            cs.append(c)
        return RNNState._from_vectors(run, state, [tuple(hs), tuple(cs)])


@register(({"forget_bias": 0.25}, _sparse_reference(0.25)), step=_sparse_reference(FORGET_BIAS))
class SparseLSTMBuilder(VanillaLSTMBuilder):
    r"""A `VanillaLSTMBuilder` whose small weights can be pruned.

    Each matrix W is multiplied elementwise by a mask M of zeros and ones. During training, the program raises the
    share of pruned weights gradually with `set_sparsity`. Pruned weights keep their values but get no gradient.

    Args:
        layers, input_dim, hidden_dim, ln_lstm, forget_bias: as in `VanillaLSTMBuilder`.
        model: the collection that gets the parameters: for each layer, in the order of `get_parameters`,
            :math:`W_x, W_h, b` and the masks :math:`M_x, M_h`, which are not trained.

    Source: Narang et al., "Exploring sparsity in recurrent neural networks", 2017.

    >>> lstm = dy.SparseLSTMBuilder(1, 3, 4, dy.Model())
    >>> lstm.set_sparsity(0.75)
    >>> sum(int(mask.as_array().sum()) for mask in lstm.get_parameters()[0][3:])
    28
    """

    _listed_count = 5

    def _add_layer(self, n: int, m: int) -> list[Parameters]:
        weights = self._add((4 * m, n), (4 * m, m))
        masks = [self._model.add_parameters(w.shape(), init=ConstInitializer(1.0)) for w in weights]
        for mask in masks:
            mask._freeze_for_good()
        return [*weights, *self._add((4 * m,)), *masks, *self._add_norms(m)]

    def get_parameter_expressions(self) -> list[list[Expression]]:
        """Return the pruned parameters of each layer, :math:`W_x \\circ M_x, W_h \\circ M_h, b`, as expressions.

        Raises:
            ArgumentError: `initial_state` has not been called in the current graph. (ArgumentError is a ValueError.)
        """
        return [layer[:3] for layer in super().get_parameter_expressions()]

    def _expressions(self, layer: list[Parameters], is_trained: bool) -> list[Expression]:
        Wx, Wh, b, Mx, Mh, *norms = layer
        masked = [cmult(w.expr(is_trained), mask.expr(False)) for w, mask in ((Wx, Mx), (Wh, Mh))]
        return [*masked, *super()._expressions([b, *norms], is_trained)]

    def set_sparsity(self, sparsity: Number) -> None:
        """Prune the weights of smallest magnitude, across all layers.

        Pruned weights stay pruned, unless this call lowers the share.

        Args:
            sparsity: the share of all weights that are pruned after this call, in [0, 1].
        """
        share = checked_number("set_sparsity: sparsity", sparsity, UNIT_INTERVAL)
        pairs = [pair for Wx, Wh, _, Mx, Mh, *_ in self._parameters for pair in ((Wx, Mx), (Wh, Mh))]
        magnitudes = np.concatenate([abs(np.asarray(w)).ravel() for w, _ in pairs])
        old_mask = np.concatenate([np.asarray(mask).ravel() for _, mask in pairs])
        mask = np.ones(len(magnitudes), np.float32)
        mask[np.lexsort((magnitudes, old_mask))[: int(share * len(magnitudes))]] = 0  # those pruned before sort first
        for _, mask_parameter in pairs:
            mask_parameter.set_value(mask[: mask_parameter.type.total].reshape(mask_parameter.shape()))
            mask = mask[mask_parameter.type.total :]


@register()
class CompactVanillaLSTMBuilder(VanillaLSTMBuilder):
    """The same network as `VanillaLSTMBuilder`, with optional noise on the weights.

    In DyNet 2.1, only this builder computes a step as a single operation. Here, all builders do.

    Args:
        layers, input_dim, hidden_dim, model: as in `VanillaLSTMBuilder`.

    >>> lstm = dy.CompactVanillaLSTMBuilder(1, 3, 4, dy.Model())
    >>> lstm.set_weightnoise(0.1)
    >>> lstm.initial_state().add_input(dy.inputVector([1, 2, 3])).output().dim()
    ((4,), 1)
    """

    _collection = "compact-vanilla-lstm-builder"
    _noise = 0.0

    def __init__(self, layers: Index, input_dim: Index, hidden_dim: Index, model: ParameterCollection):
        super().__init__(layers, input_dim, hidden_dim, model)
        self._spec = self._spec[:3]  # only (layers, input_dim, hidden_dim), as in DyNet

    def set_weightnoise(self, std: Number) -> None:
        """Set the standard deviation of the Gaussian noise that is added to weights and biases; 0 turns it off.

        Each call of `initial_state` draws new noise. Use noise in training only.

        Source: Graves, Mohamed and Hinton, "Speech recognition with deep recurrent neural networks", 2013.
        """
        self._noise = checked_number("set_weightnoise: std", std, NOT_NEGATIVE)
        self._latest.initial_state = None
        self._latest.loaded.clear()

    def _load_parameters(self, version: int, is_trained: bool) -> LoadedParameters:
        loaded = super()._load_parameters(version, is_trained)
        if self._noise:
            self._latest.loaded.clear()  # so that the next sequence draws new noise
        return loaded

    def _cell_weights(self, expressions: list[list[Expression]]) -> list[list[Expression]]:
        return [[noise(e, self._noise) for e in layer] for layer in expressions] if self._noise else expressions


@register()
class CoupledLSTMBuilder(Variational):
    r"""An LSTM network with peepholes and coupled gates: the forget gate is 1 - i.

    .. math::

        i_t &= \sigma(W_{ix} x_t + W_{ih} h_{t-1} + W_{ic} c_{t-1} + b_i) \\
        \tilde c_t &= \tanh(W_{cx} x_t + W_{ch} h_{t-1} + b_c) \\
        c_t &= c_{t-1} \circ (1 - i_t) + \tilde c_t \circ i_t \\
        o_t &= \sigma(W_{ox} x_t + W_{oh} h_{t-1} + W_{oc} c_t + b_o) \\
        h_t &= \tanh(c_t) \circ o_t

    where i and o are the input and output gates, and :math:`\circ` is the elementwise product. The peepholes are the
    terms with c in the gates.

    Args:
        layers: the number of layers. Each reads the outputs of the layer before.
        input_dim: the size of an input.
        hidden_dim: the size of h, the output of a layer, and of c, its memory.
        model: the collection that gets the parameters: for each layer
            :math:`W_{ix}, W_{ih}, W_{ic}, b_i, W_{ox}, W_{oh}, W_{oc}, b_o, W_{cx}, W_{ch}, b_c`.
        ln_lstm, forget_bias: arguments of `VanillaLSTMBuilder`, accepted because programs for DyNet 2 may call that
            class `LSTMBuilder`, which by default means this class here. This network has neither layer normalization
            nor a forget bias, so they must have their default values.

    Raises:
        ArgumentError: ln_lstm or forget_bias does not have its default value.

    Source: Greff et al., "LSTM: a search space odyssey", 2015; peepholes: Gers and Schmidhuber, 2000.

    >>> lstm = dy.CoupledLSTMBuilder(1, 3, 4, dy.Model())
    >>> lstm.initial_state().add_input(dy.inputVector([1, 2, 3])).output().dim()
    ((4,), 1)
    """

    _cell, _collection = CELLS["coupled_lstm_step"], "lstm-builder"
    _rates = (0.0, 0.0, 0.0)

    def __init__(
        self,
        layers: Index,
        input_dim: Index,
        hidden_dim: Index,
        model: ParameterCollection,
        ln_lstm: bool = False,
        forget_bias: Number = FORGET_BIAS,
    ):
        missing = f"layer normalization (ln_lstm={ln_lstm!r:.20})" if ln_lstm else f"forget_bias={forget_bias!r:.20}"
        if ln_lstm or forget_bias != FORGET_BIAS:
            raise ArgumentError(
                f"{self.whoami()}: a network with coupled gates does not support {missing}; VanillaLSTMBuilder does. "
                "For DyNet 2's LSTMBuilder, say dynet_config.set(lstm_builder='vanilla') before import dynet, or set "
                "DYNET_LSTM_BUILDER=vanilla in the environment"
            )
        super().__init__(layers, input_dim, hidden_dim, model)


@register()
class FastLSTMBuilder(Variational):
    r"""An LSTM network without peepholes and with coupled gates: the forget gate is 1 - i.

    .. math::

        i_t &= \sigma(W_{ix} x_t + W_{ih} h_{t-1} + b_i) \\
        \tilde c_t &= \tanh(W_{cx} x_t + W_{ch} h_{t-1} + b_c) \\
        c_t &= c_{t-1} \circ (1 - i_t) + \tilde c_t \circ i_t \\
        o_t &= \sigma(W_{ox} x_t + W_{oh} h_{t-1} + b_o) \\
        h_t &= \tanh(c_t) \circ o_t

    where i and o are the input and output gates, and :math:`\circ` is the elementwise product.

    Args:
        layers: the number of layers. Each reads the outputs of the layer before.
        input_dim: the size of an input.
        hidden_dim: the size of h, the output of a layer, and of c, its memory.
        model: the collection that gets the parameters, the same as for `CoupledLSTMBuilder`. As in DyNet, these include
            the peepholes :math:`W_{ic}` and :math:`W_{oc}`, which are not used.

    Source: Greff et al., "LSTM: a search space odyssey", 2015.

    >>> lstm = dy.FastLSTMBuilder(1, 3, 4, dy.Model())
    >>> lstm.initial_state().add_input(dy.inputVector([1, 2, 3])).output().dim()
    ((4,), 1)
    """

    _cell, _collection = CELLS["fast_lstm_step"], "fast-lstm-builder"
    _names = ("Wix", "Wih", "Wic", "bi", "Wox", "Woh", "Woc", "bo", "Wcx", "Wch", "bc")

    def _add_layer(self, n: int, m: int) -> list[Parameters]:
        cell_weights = self._cell.parameters
        return self._add(*[cell_weights[name].dims(n, m) if name in cell_weights else (m, 1) for name in self._names])


class LSTMBuilder(CoupledLSTMBuilder):
    """Another name for `CoupledLSTMBuilder`, as in DyNet's manual, or for `VanillaLSTMBuilder`, as in DyNet 2.

    To choose, call `dynet_config.set(lstm_builder="coupled")` or `dynet_config.set(lstm_builder="vanilla")` before
    `import dynet`, or set the environment variable DYNET_LSTM_BUILDER to one of these words. If the program does not
    choose, the first call of `LSTMBuilder` warns, and means "coupled".

    Args:
        layers, input_dim, hidden_dim, model, ln_lstm, forget_bias: as in the chosen class.

    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):
    ...     lstm = dy.LSTMBuilder(1, 3, 4, dy.Model())
    >>> lstm.initial_state().add_input(dy.inputVector([1, 2, 3])).output().dim()
    ((4,), 1)
    """

    def __new__(cls, *arguments: Any, **named: Any) -> Self:
        kind = config.PARAMS.lstm_builder
        if kind not in ("", "coupled", "vanilla"):
            raise ArgumentError(f"LSTMBuilder: lstm_builder must be 'coupled' or 'vanilla', got {kind!r}")
        if kind == "vanilla":
            return VanillaLSTMBuilder(*arguments, **named)  # type: ignore[return-value]  # it has the same methods
        if not kind:
            _warn_of_two_meanings()
        return super().__new__(cls)

    @classmethod
    def _dynet_name(cls) -> str:
        """Return the name of the class that `LSTMBuilder` stands for. Files store it, so that DyNet 2 can read them."""
        return "VanillaLSTMBuilder" if config.PARAMS.lstm_builder == "vanilla" else "CoupledLSTMBuilder"


@functools.cache
def _warn_of_two_meanings() -> None:
    warnings.warn(
        "LSTMBuilder has coupled gates and peepholes, as DyNet's manual says; in DyNet 2 the name means "
        "VanillaLSTMBuilder. Use the name of the one you want, or say dynet_config.set(lstm_builder='vanilla') or "
        "'coupled' before import dynet (or DYNET_LSTM_BUILDER=vanilla in the environment).",
        stacklevel=3,
    )


def _hint_at_other_builder(stored: Iterable[str], expected: Iterable[str]) -> str:
    """Return a hint if parameter names show that `LSTMBuilder` meant another class when a file was written, or ""."""
    file_kinds, own_kinds = [{kind for name in names for kind in _KIND.findall(name)} for names in (stored, expected)]
    for kind, builder, other in (("vanilla-", "Vanilla", "Coupled"), ("", "Coupled", "Vanilla")):
        if kind in file_kinds - own_kinds and own_kinds - file_kinds:
            return (
                f"The file has parameters of a {builder}LSTMBuilder, the collection those of a {other}LSTMBuilder: "
                "if the program says LSTMBuilder, this depends on what that means (VanillaLSTMBuilder in DyNet 2, "
                f"CoupledLSTMBuilder in its manual); say dynet_config.set(lstm_builder='{builder.lower()}') before "
                f"import dynet, or DYNET_LSTM_BUILDER={builder.lower()} in the environment"
            )
    return ""


# Finds the builder's kind in a parameter's name: "vanilla-" for a VanillaLSTMBuilder, "" for a CoupledLSTMBuilder.
_KIND = re.compile(r"/(vanilla-|)lstm-builder(?:_[0-9]+)?/")
EXPLAINERS.append(_hint_at_other_builder)  # errors about a file's parameters end with this hint


class BiRNNBuilder(ParameterOwner):
    """A bidirectional network. Each layer is a pair of networks: one reads the sequence forwards, one backwards.

    Their outputs are concatenated, and the next layer reads the results.

    Args:
        num_layers: the number of layers (pairs).
        input_dim: the size of an input.
        hidden_dim: the size of an output, an even number. Each network of a pair computes half of it.
        model: the collection that gets the parameters; with existing builders, only what `param_collection` returns.
        rnn_builder_factory: the builder class of the networks, such as `VanillaLSTMBuilder`, or a function that makes a
            builder. It is called twice for each layer, with (1, size of the layer's inputs, hidden_dim / 2, a
            collection for the parameters).
        builder_layers: existing builders to use instead of new ones, as a pair (forward, backward) for each layer.

    Raises:
        ArgumentError: hidden_dim is odd, num_layers is 0, or neither a factory nor existing builders are given.
        ArgumentTypeError: the factory is neither a class of builders nor a function that makes builders,
            `builder_layers` has items other than pairs of builders, or `model` is not a collection.

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
            pairs = checked_list("BiRNNBuilder: builder_layers", builder_layers)
            self.builder_layers = [_checked_pair(pair) for pair in pairs]
            num_layers = len(pairs)
        else:
            num_layers = checked_size("BiRNNBuilder", "num_layers", num_layers)
            input_dim = checked_size("BiRNNBuilder", "input_dim", input_dim)
            hidden_dim = checked_size("BiRNNBuilder", "hidden_dim", hidden_dim)
            if hidden_dim % 2:
                raise ArgumentError(f"BiRNNBuilder: hidden_dim must be even, got {hidden_dim}")
            if rnn_builder_factory is None:
                raise ArgumentError("BiRNNBuilder: either rnn_builder_factory or builder_layers is needed")
            _check_factory(rnn_builder_factory)
            with self._in_new_collection("birnn", model):
                self.model, half = self._model, hidden_dim // 2
                self.builder_layers = [
                    (self._create(rnn_builder_factory, size, half), self._create(rnn_builder_factory, size, half))
                    for size in (hidden_dim if k else input_dim for k in range(num_layers))
                ]
        self.spec: tuple[object, ...] = (num_layers, input_dim, hidden_dim, rnn_builder_factory, builder_layers)

    def _create(self, factory: Callable[..., Any], input_dim: int, hidden_dim: int) -> _RNNBuilder:
        builder = factory(1, input_dim, hidden_dim, self.model)
        if not _is_builder(builder):
            raise ArgumentTypeError(f"BiRNNBuilder: rnn_builder_factory must return a builder, not {builder!r:.80}")
        return builder

    @classmethod
    def from_spec(cls, spec: Sequence[Any], model: ParameterCollection) -> BiRNNBuilder:
        """Make a new bidirectional network with the sizes and options of another one. Parameter values are not copied.

        Args:
            spec: the attribute `spec` of the other network. If it contains existing builders, they are reused.
            model: the collection that gets the parameters of new builders.
        """
        layers, input_dim, hidden_dim, factory, pairs = spec
        if factory is not None:  # a spec from a file may have any class of this library
            _check_factory(factory)
        if pairs is not None and layers != len(pairs := [_checked_pair(pair) for pair in pairs]):
            raise ArgumentError(f"BiRNNBuilder: the spec has {layers!r:.40} layers, but builders for {len(pairs)}")
        return cls(layers, input_dim, hidden_dim, model, factory, pairs)

    def __repr__(self) -> str:
        rates = [rate for builder in self._builders() for rate in builder._rates]
        return repr_of_builder(self.whoami(), self.spec, self.model, rates)

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
        hint = f": give the class, {type(factory).__name__}" if _is_builder(factory) else ""
        raise ArgumentTypeError(
            "BiRNNBuilder: rnn_builder_factory must be a class of builders, such as VanillaLSTMBuilder, or a function "
            f"that makes builders, not {factory!r:.80}{hint}"
        )


def _checked_pair(pair: Any) -> tuple[Any, Any]:
    """Return an item of `builder_layers` as a tuple. Raise ArgumentTypeError if it is not a pair of builders."""
    items = tuple(pair) if isinstance(pair, (tuple, list)) else ()
    if len(items) != 2 or not all(map(_is_builder, items)):
        raise ArgumentTypeError(
            f"BiRNNBuilder: builder_layers must be pairs of builders, (forward, backward), not {pair!r:.80}"
        )
    return items


# The public names of this package.
__all__ = [
    "AdaptiveSoftmaxBuilder", "BiRNNBuilder", "BiaffineBuilder", "CRFBuilder", "ChildSumTreeLSTMBuilder",
    "ClassFactoredSoftmaxBuilder", "CompactVanillaLSTMBuilder", "CoupledLSTMBuilder", "FastLSTMBuilder", "GRUBuilder",
    "HierarchicalSoftmaxBuilder", "LSTMBuilder", "LearnedPositionsBuilder", "MultiHeadAttentionBuilder",
    "NaryTreeLSTMBuilder", "RNNState", "SimpleRNNBuilder", "SoftmaxBuilder", "SparseLSTMBuilder", "StackedRNNState",
    "StandardSoftmaxBuilder", "TransformerDecoderLayerBuilder", "TransformerEncoderLayerBuilder", "TreeState",
    "VanillaLSTMBuilder", "_RNNBuilder", "bio_constraints", "pass_messages", "set_torch_weights", "torch_weights",
    "transduce",
]  # fmt: skip
