"""`GRUBuilder`: networks of gated recurrent units."""

from __future__ import annotations

from dynet_ops.network.recurrent import CELLS

from .dropout import Vertical
from .registry import register


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
        layers: the number of layers. Each reads the outputs of the one before.
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
