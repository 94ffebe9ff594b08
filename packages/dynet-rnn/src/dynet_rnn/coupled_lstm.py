"""Builders of LSTM networks whose input and forget gates are coupled: the forget gate is 1 - i."""

from __future__ import annotations

from dynet_core.annotations import Index, Number
from dynet_core.errors import ArgumentError
from dynet_core.parameter import ParameterCollection, Parameters
from dynet_ops.network.recurrent import CELLS

from .dropout import Variational
from .lstm import FORGET_BIAS
from .registry import register


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
    terms by which the gates read c.

    Args:
        layers: the number of layers. Each reads the outputs of the one before.
        input_dim: the size of an input.
        hidden_dim: the size of h, the output of a layer, and of c, its memory.
        model: the collection that gets the parameters: for each layer
            :math:`W_{ix}, W_{ih}, W_{ic}, b_i, W_{ox}, W_{oh}, W_{oc}, b_o, W_{cx}, W_{ch}, b_c`.
        ln_lstm, forget_bias: accepted because the `spec` of a `VanillaLSTMBuilder` has them, and DyNet 2 calls that
            class `LSTMBuilder`. This network has neither layer normalization nor a forget bias, so they must have
            their default values.

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
        lacking = f"layer normalization (ln_lstm={ln_lstm!r:.20})" if ln_lstm else f"forget_bias={forget_bias!r:.20}"
        if ln_lstm or forget_bias != FORGET_BIAS:
            raise ArgumentError(
                f"{self.whoami()}: a network with coupled gates does not support {lacking}; VanillaLSTMBuilder does. "
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
        layers: the number of layers. Each reads the outputs of the one before.
        input_dim: the size of an input.
        hidden_dim: the size of h, the output of a layer, and of c, its memory.
        model: the collection that gets the parameters, which are those of `CoupledLSTMBuilder`. As in DyNet, the
            peepholes :math:`W_{ic}` and :math:`W_{oc}` are among them, but are not used.

    Source: Greff et al., "LSTM: a search space odyssey", 2015.

    >>> lstm = dy.FastLSTMBuilder(1, 3, 4, dy.Model())
    >>> lstm.initial_state().add_input(dy.inputVector([1, 2, 3])).output().dim()
    ((4,), 1)
    """

    _cell, _collection = CELLS["fast_lstm_step"], "fast-lstm-builder"
    _names = ("Wix", "Wih", "Wic", "bi", "Wox", "Woh", "Woc", "bo", "Wcx", "Wch", "bc")

    def _add_layer(self, n: int, m: int) -> list[Parameters]:
        known = self._cell.parameters
        return self._add(*[known[name].dims(n, m) if name in known else (m, 1) for name in self._names])
