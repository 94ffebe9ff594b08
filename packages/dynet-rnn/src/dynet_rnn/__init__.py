"""DyNet's builders of recurrent networks, of networks over trees, and of softmax layers."""

import sys

from dynet_core.messages.hints import explain_arguments

from . import builders, sequences
from .builders import *
from .sequences import RNNState, StackedRNNState, _RNNBuilder
from .softmax import ClassFactoredSoftmaxBuilder, SoftmaxBuilder, StandardSoftmaxBuilder
from .tree import ChildSumTreeLSTMBuilder, NaryTreeLSTMBuilder, TreeState

__all__ = [
    "BiRNNBuilder", "ChildSumTreeLSTMBuilder", "ClassFactoredSoftmaxBuilder", "CompactVanillaLSTMBuilder",
    "CoupledLSTMBuilder", "FastLSTMBuilder", "GRUBuilder", "LSTMBuilder", "NaryTreeLSTMBuilder", "RNNState",
    "SimpleRNNBuilder", "SoftmaxBuilder", "SparseLSTMBuilder", "StackedRNNState", "StandardSoftmaxBuilder",
    "TreeState", "VanillaLSTMBuilder", "_RNNBuilder",
]  # fmt: skip

for _name in ("bi", "coupled_lstm", "gru", "lstm", "lstm_builder", "simple"):  # older pickles name these modules
    sys.modules[f"{__name__}.{_name}"] = builders
sys.modules[f"{__name__}.recording"] = sequences

_BASES = ("SoftmaxBuilder", "_RNNBuilder")
explain_arguments(*[globals()[name] for name in __all__ if name.endswith("Builder") and name not in _BASES])
