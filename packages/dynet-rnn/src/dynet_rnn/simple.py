"""`SimpleRNNBuilder`: recurrent networks without gates."""

from __future__ import annotations

from dynet_ops.network.recurrent import CELLS

from .dropout import Variational
from .registry import register


@register()
class SimpleRNNBuilder(Variational):
    r"""A simple recurrent network, also called an Elman network: one matrix for inputs, one for states, and tanh.

    .. math:: h_t = \tanh(W_{hx} x_t + W_{hh} h_{t-1} + b_h)

    Args:
        layers: the number of layers. Each reads the outputs of the one before.
        input_dim: the size of an input.
        hidden_dim: the size of h, the state and output of a layer.
        model: the collection that gets the parameters: for each layer :math:`W_{hx}, W_{hh}, b_h`.

    Source: Elman, "Finding structure in time", 1990.

    >>> rnn = dy.SimpleRNNBuilder(2, 3, 4, dy.Model())
    >>> [y.dim() for y in rnn.initial_state().transduce([dy.inputVector([1, 2, 3])])]
    [((4,), 1)]
    """

    _cell, _collection = CELLS["simple_rnn_step"], "simple-rnn-builder"
