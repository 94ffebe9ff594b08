"""Builders of LSTM networks whose input and forget gates are separate.

The functions above the first class compute one step in numpy, for tests.
"""

from __future__ import annotations

import functools

import numpy as np

from dynet_core.annotations import Index, Number
from dynet_core.checks import NOT_NEGATIVE, SHARE, checked_flag, checked_number
from dynet_core.graph.expression import Expression
from dynet_core.initializer import ConstInitializer
from dynet_core.parameter import ParameterCollection, Parameters
from dynet_ops.elementwise.arithmetic import cmult
from dynet_ops.elementwise.functions import logistic, tanh
from dynet_ops.input.inputs import inputVector
from dynet_ops.network.norm import layer_norm
from dynet_ops.network.recurrent import CELLS
from dynet_ops.random.draws import noise
from dynet_ops.select.picking import pickrange

from .base import Loaded
from .dropout import Variational
from .registry import Step, register
from .state import RNNState

CELL = CELLS["lstm_step"]
FORGET_BIAS = CELL.numbers["forget_bias"]


def _vanilla(forget_bias: float) -> Step:
    return functools.partial(CELL.reference, forget_bias=forget_bias)  # type: ignore[arg-type]


def _normalised(x, h, c, Wx, Wh, b, gh, bh, gx, bx, gc, bc):
    def norm(v, g, b):
        return g * (v - v.mean(0)) / v.std(0) + b

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    recurring = norm(Wh @ h, gh, bh) if h.any() else 0  # left out in the first step, where h is 0
    i, f, o, g = np.split(b + norm(Wx @ x, gx, bx) + recurring, 4)
    c = sigmoid(f + FORGET_BIAS) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(norm(c, gc, bc)), c


def _sparse(forget_bias: float) -> Step:
    step = _vanilla(forget_bias)
    return lambda x, h, c, Wx, Wh, b, Mx, Mh: step(x, h, c, Wx * Mx, Wh * Mh, b)


@register(({"forget_bias": 0.25}, _vanilla(0.25)), ({"ln_lstm": True}, _normalised))
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
        layers: the number of layers. Each reads the outputs of the one before.
        input_dim: the size of an input.
        hidden_dim: the size of h, the output of a layer, and of c, its memory.
        model: the collection that gets the parameters: for each layer :math:`W_x` (4 hidden_dim, input size),
            :math:`W_h` (4 hidden_dim, hidden_dim) and :math:`b` (4 hidden_dim). The first hidden_dim rows of each are
            for i, the next for f, then for o and :math:`\tilde c`.
        ln_lstm: whether to apply layer normalization to :math:`W_x x`, :math:`W_h h` and c. This adds six parameters
            to each layer. They belong to `model` itself, as in DyNet, and `get_parameters` does not list them.
        forget_bias: the number that is added to :math:`b_f`, which is 1 in the formula.

    Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997; forget gate: Gers et al., 2000.

    >>> lstm = dy.VanillaLSTMBuilder(1, 3, 4, dy.Model())
    >>> outputs = lstm.initial_state().transduce([dy.inputVector([1, 2, 3]), dy.inputVector([4, 5, 6])])
    >>> [y.dim() for y in outputs]
    [((4,), 1), ((4,), 1)]
    """

    _cell, _collection = CELL, "vanilla-lstm-builder"
    _listed = 3

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
        self._norms_in = model if has_norms else None
        self._forget_bias = checked_number(f"{self.whoami()}: forget_bias", forget_bias)
        super().__init__(layers, input_dim, hidden_dim, model)
        self._spec = (*self._spec, has_norms, self._forget_bias)

    def _add_layer(self, n: int, m: int) -> list[Parameters]:
        return [*super()._add_layer(n, m), *self._add_norms(m)]

    def _add_norms(self, m: int) -> list[Parameters]:
        """Create the parameters of layer normalization for a layer of m units; none if the network does not use it."""
        if self._norms_in is None:
            return []
        sizes = ((4 * m, 1.0), (4 * m, 0.0), (4 * m, 1.0), (4 * m, 0.0), (m, 1.0), (m, 0.0))
        return [self._norms_in.add_parameters((size,), init=ConstInitializer(start)) for size, start in sizes]

    @property
    def _outside(self) -> list[Parameters]:
        """The parameters of layer normalization: saved with the builder, but as in DyNet not in its own collection."""
        own = self.param_collection().name()
        return [p for layer in self._parameters for p in layer if not p.name().startswith(own)]

    def _read(self, found: list[list[Expression]]) -> list[list[Expression]]:
        shift = self._forget_bias - FORGET_BIAS  # the cell itself adds its own
        if not shift or self._norms_in is not None:
            return found
        m = self._spec[2]
        shifts = inputVector([0.0] * m + [shift] * m + [0.0] * (2 * m))
        return [[Wx, Wh, b + shifts] for Wx, Wh, b, *_ in found]

    def _is_plain(self) -> bool:
        return self._norms_in is None and super()._is_plain()

    def _advance(self, state: RNNState, x: Expression) -> RNNState:
        if self._norms_in is None:
            return super()._advance(state, x)
        run = state._run
        hs, cs = [], []
        for k, (Wx, Wh, b, gh, bh, gx, bx, gc, bc) in enumerate(run.expressions):
            gates = b + layer_norm(Wx * self._drop_input(run, k, x), gx, bx)
            if state.h():
                gates = gates + layer_norm(Wh * self._masked(run, k, 1, state.h()[k]), gh, bh)
            m = self._spec[2]
            i, f, o, g = [pickrange(gates, part * m, part * m + m) for part in range(4)]
            c = cmult(logistic(i), tanh(g))
            if state.h():
                c = c + cmult(logistic(f + self._forget_bias), state._value(1)[k])
            x = cmult(logistic(o), tanh(layer_norm(c, gc, bc)))
            hs.append(x)
            cs.append(c)
        return RNNState._of(run, state, [tuple(hs), tuple(cs)])


@register(({"forget_bias": 0.25}, _sparse(0.25)), step=_sparse(FORGET_BIAS))
class SparseLSTMBuilder(VanillaLSTMBuilder):
    r"""A `VanillaLSTMBuilder` whose small weights can be pruned.

    Each matrix W is multiplied elementwise by a mask M of zeros and ones. During training, the program raises the
    share of pruned weights step by step, with `set_sparsity`. Pruned weights keep their values, but get no gradient.

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

    _listed = 5

    def _add_layer(self, n: int, m: int) -> list[Parameters]:
        weights = self._add((4 * m, n), (4 * m, m))
        masks = [self._model.add_parameters(w.shape(), init=ConstInitializer(1.0)) for w in weights]
        for mask in masks:
            mask._is_never_trained()
        return [*weights, *self._add((4 * m,)), *masks, *self._add_norms(m)]

    def get_parameter_expressions(self) -> list[list[Expression]]:
        """Return :math:`W_x \\circ M_x, W_h \\circ M_h, b` of each layer, the parameters after pruning, as expressions.

        Raises:
            ArgumentError: `initial_state` has not been called in the current graph. (ArgumentError is a ValueError.)
        """
        return [layer[:3] for layer in super().get_parameter_expressions()]

    def _expressions(self, layer: list[Parameters], update: bool) -> list[Expression]:
        Wx, Wh, b, Mx, Mh, *norms = layer
        masked = [cmult(w.expr(update), mask.expr(False)) for w, mask in ((Wx, Mx), (Wh, Mh))]
        return [*masked, b.expr(update), *[p.expr(update) for p in norms]]

    def set_sparsity(self, sparsity: Number) -> None:
        """Prune the weights of smallest magnitude among the weights of all layers.

        A weight that was pruned before stays pruned, unless this call lowers the share.

        Args:
            sparsity: the share of all weights that are pruned after this call, in [0, 1].
        """
        share = checked_number("set_sparsity: sparsity", sparsity, SHARE)
        pairs = [pair for Wx, Wh, _, Mx, Mh, *_ in self._parameters for pair in ((Wx, Mx), (Wh, Mh))]
        size = np.concatenate([abs(np.asarray(w)).ravel() for w, _ in pairs])
        kept = np.concatenate([np.asarray(mask).ravel() for _, mask in pairs])
        mask = np.ones(len(size), np.float32)
        mask[np.lexsort((size, kept))[: int(share * len(size))]] = 0
        for _, part in pairs:
            part.set_value(mask[: part.type.total].reshape(part.shape()))
            mask = mask[part.type.total :]


@register()
class CompactVanillaLSTMBuilder(VanillaLSTMBuilder):
    """The same network as `VanillaLSTMBuilder`, to which noise on the weights can be added.

    In DyNet 2.1 only this builder computes a step as a single operation. Here all builders do so.

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

        Each call of `initial_state` draws new noise. Use this in training only.

        Source: Graves, Mohamed and Hinton, "Speech recognition with deep recurrent neural networks", 2013.
        """
        self._noise = checked_number("set_weightnoise: std", std, NOT_NEGATIVE)
        self._latest.start = None
        self._latest.loaded.clear()

    def _loaded(self, version: int, update: bool) -> Loaded:
        loaded = super()._loaded(version, update)
        if self._noise:
            self._latest.loaded.clear()  # each sequence has its own noise
        return loaded

    def _read(self, found: list[list[Expression]]) -> list[list[Expression]]:
        return [[noise(e, self._noise) for e in layer] for layer in found] if self._noise else found
