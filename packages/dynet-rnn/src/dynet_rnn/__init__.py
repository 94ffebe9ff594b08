"""DyNet's builders of recurrent networks, of networks over trees, and of softmax layers."""

from dynet_core.messages.hints import explain_arguments

from .base import _RNNBuilder
from .bi import BiRNNBuilder
from .coupled_lstm import CoupledLSTMBuilder, FastLSTMBuilder
from .gru import GRUBuilder
from .lstm import CompactVanillaLSTMBuilder, SparseLSTMBuilder, VanillaLSTMBuilder
from .lstm_builder import LSTMBuilder
from .simple import SimpleRNNBuilder
from .softmax import ClassFactoredSoftmaxBuilder, SoftmaxBuilder, StandardSoftmaxBuilder
from .stacked import StackedRNNState
from .state import RNNState
from .tree import ChildSumTreeLSTMBuilder, NaryTreeLSTMBuilder, TreeState

__all__ = [
    "BiRNNBuilder", "ChildSumTreeLSTMBuilder", "ClassFactoredSoftmaxBuilder", "CompactVanillaLSTMBuilder",
    "CoupledLSTMBuilder", "FastLSTMBuilder", "GRUBuilder", "LSTMBuilder", "NaryTreeLSTMBuilder", "RNNState",
    "SimpleRNNBuilder", "SoftmaxBuilder", "SparseLSTMBuilder", "StackedRNNState", "StandardSoftmaxBuilder",
    "TreeState", "VanillaLSTMBuilder", "_RNNBuilder",
]  # fmt: skip

_BASES = ("SoftmaxBuilder", "_RNNBuilder")
explain_arguments(*[globals()[name] for name in __all__ if name.endswith("Builder") and name not in _BASES])
