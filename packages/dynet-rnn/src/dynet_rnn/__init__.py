"""DyNet's builders of recurrent networks, of networks over trees, and of softmax layers."""

from dynet_core.hints import give_hints, give_special_hint
from dynet_core.keyword_hints import give_keyword_hints

from .base import _RNNBuilder
from .bi import BiRNNBuilder
from .coupled_lstm import CoupledLSTMBuilder, FastLSTMBuilder
from .dropout import Vertical
from .gru import GRUBuilder
from .lstm import CompactVanillaLSTMBuilder, SparseLSTMBuilder, VanillaLSTMBuilder
from .lstm_builder import LSTMBuilder
from .other_names import KEYWORDS, OF_BOTH_DIRECTIONS, OF_SEQUENCES, OF_TREES, OF_VERTICAL
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

for _kind in (
    SimpleRNNBuilder, GRUBuilder, VanillaLSTMBuilder, SparseLSTMBuilder, CompactVanillaLSTMBuilder, CoupledLSTMBuilder,
    FastLSTMBuilder, BiRNNBuilder, ChildSumTreeLSTMBuilder, NaryTreeLSTMBuilder, StandardSoftmaxBuilder,
    ClassFactoredSoftmaxBuilder,
):  # fmt: skip
    give_keyword_hints(_kind, KEYWORDS)
give_hints(Vertical, OF_VERTICAL)
for _kind in (ChildSumTreeLSTMBuilder, NaryTreeLSTMBuilder):
    give_hints(_kind, OF_TREES)
    give_special_hint(_kind, "__call__", OF_TREES["call"])
give_special_hint(_RNNBuilder, "__call__", OF_SEQUENCES["call"])
give_special_hint(BiRNNBuilder, "__call__", OF_BOTH_DIRECTIONS["call"])
give_special_hint(SoftmaxBuilder, "__call__", "layer.full_logits(x), or layer.neg_log_softmax(x, c) for the loss")
