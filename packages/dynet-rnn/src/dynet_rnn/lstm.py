"""Long short-term memories."""

from __future__ import annotations

import numpy as np
from dynet_core.errors import ArgumentTypeError
from dynet_core.expression import Expression
from dynet_core.initializer import ConstInitializer
from dynet_core.parameter import ParameterCollection, Parameters
from dynet_ops.inputs import inputTensor
from dynet_ops.recurrent import COUPLED, FAST, LSTM

from .dropout import Variational
from .layers import Layers


class VanillaLSTMBuilder(Variational):
    r"""A network of long short-term memories with separate gates and without peepholes.

    .. math::

        i_t &= \sigma(W_{ix} x_t + W_{ih} h_{t-1} + b_i) \\
        f_t &= \sigma(W_{fx} x_t + W_{fh} h_{t-1} + b_f + 1) \\
        o_t &= \sigma(W_{ox} x_t + W_{oh} h_{t-1} + b_o) \\
        \tilde c_t &= \tanh(W_{cx} x_t + W_{ch} h_{t-1} + b_c) \\
        c_t &= c_{t-1} \circ f_t + \tilde c_t \circ i_t \\
        h_t &= \tanh(c_t) \circ o_t

    Args:
        layers: how many networks read each other's outputs.
        input_dim: how many numbers an input has.
        hidden_dim: how many numbers a state has.
        model: the collection to which the parameters are added: for each layer :math:`W_x` (4 hidden_dim, input size),
            :math:`W_h` (4 hidden_dim, hidden_dim) and :math:`b`, the gates i, f, o, c one under the other.
        forget_bias: what is added to :math:`b_f`.

    Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997; forget gate: Gers, Schmidhuber and Cummins, 2000.

    >>> lstm = dy.VanillaLSTMBuilder(1, 3, 4, dy.Model())
    >>> outputs = lstm.initial_state().transduce([dy.inputVector([1, 2, 3]), dy.inputVector([4, 5, 6])])
    >>> [y.dim() for y in outputs]
    [((4,), 1), ((4,), 1)]
    """

    _cell, _collection = LSTM, "vanilla-lstm-builder"
    _projection, _recurrent = (2, 0), (1,)

    def __init__(
        self,
        layers: int,
        input_dim: int,
        hidden_dim: int,
        model: ParameterCollection,
        ln_lstm: bool = False,
        forget_bias: float = 1.0,
    ):
        super().__init__(layers, input_dim, hidden_dim, model)
        self.spec = (*self.spec, bool(ln_lstm), float(forget_bias))

    def _add_layer(self, n: int, m: int) -> list[Parameters]:
        add = self._model.add_parameters
        return [add((4 * m, n)), add((4 * m, m)), add((4 * m,), init=ConstInitializer(0.0))]


class CompactVanillaLSTMBuilder(VanillaLSTMBuilder):
    """The same network as `VanillaLSTMBuilder`: in DyNet 2.1 the form whose step is one operation, as here all are."""

    _collection = "compact-vanilla-lstm-builder"


class CoupledLSTMBuilder(Variational):
    r"""A network of long short-term memories whose forget gate is 1 - i, with peepholes.

    .. math::

        i_t &= \sigma(W_{ix} x_t + W_{ih} h_{t-1} + W_{ic} c_{t-1} + b_i) \\
        \tilde c_t &= \tanh(W_{cx} x_t + W_{ch} h_{t-1} + b_c) \\
        c_t &= c_{t-1} \circ (1 - i_t) + \tilde c_t \circ i_t \\
        o_t &= \sigma(W_{ox} x_t + W_{oh} h_{t-1} + W_{oc} c_t + b_o) \\
        h_t &= \tanh(c_t) \circ o_t

    The first step of a sequence has no :math:`W_{oc} c_t`, as in DyNet.

    Args:
        layers: how many networks read each other's outputs.
        input_dim: how many numbers an input has.
        hidden_dim: how many numbers a state has.
        model: the collection to which the parameters are added: for each layer
            :math:`W_{ix}, W_{ih}, W_{ic}, b_i, W_{ox}, W_{oh}, W_{oc}, b_o, W_{cx}, W_{ch}, b_c`.

    Source: Greff et al., "LSTM: a search space odyssey", 2015; peepholes: Gers and Schmidhuber, 2000.
    """

    _cell, _collection = COUPLED, "lstm-builder"
    _projection, _recurrent = (3, 0, 7, 4, 10, 8), (1, 2, 5, 6, 9)
    _rates = (0.0, 0.0, 0.0)

    def _add_layer(self, n: int, m: int) -> list[Parameters]:
        return [self._model.add_parameters(dim) for dim in (*self._gate(n, m), *self._gate(n, m), (m, n), (m, m), (m,))]

    def _gate(self, n: int, m: int):
        return (m, n), (m, m), (m, m), (m,)


class FastLSTMBuilder(CoupledLSTMBuilder):
    """As `CoupledLSTMBuilder`, with vectors :math:`W_{ic}` and :math:`W_{oc}` that c is multiplied by elementwise."""

    _cell, _collection = FAST, "fast-lstm-builder"

    def _gate(self, n: int, m: int):
        return (m, n), (m, m), (m, 1), (m,)
