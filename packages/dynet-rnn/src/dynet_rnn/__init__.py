"""Builders of networks over sequences and trees, of transformers, of softmax and biaffine layers, and of CRFs."""

from dynet_core.messages.hints import add_argument_hints as _add_argument_hints
from dynet_core.moved import also_named as _also_named
from dynet_rnn.builders import *
from dynet_rnn.builders import __all__ as __all__

from . import base as _base

_EXTRA_NAMES = [  # public names that DyNet 2.1 lacks, as in dynet_core
    "AdaptiveSoftmaxBuilder", "BiaffineBuilder", "CRFBuilder", "HierarchicalSoftmaxBuilder", "LearnedPositionsBuilder",
    "MultiHeadAttentionBuilder", "TransformerDecoderLayerBuilder", "TransformerEncoderLayerBuilder", "bio_constraints",
    "pass_messages", "set_torch_weights", "torch_weights", "transduce",
]  # fmt: skip

_also_named(
    __name__, {"builders": "bi coupled_lstm gru lstm lstm_builder simple", "sequences": "recording stacked state"}
)
_base._RNNBuilder = _RNNBuilder  # type: ignore[attr-defined]  # pickles of earlier versions look for it there

_BASES = ("SoftmaxBuilder", "_RNNBuilder")  # base classes, which programs do not instantiate
_add_argument_hints(*[globals()[name] for name in __all__ if name.endswith("Builder") and name not in _BASES])
