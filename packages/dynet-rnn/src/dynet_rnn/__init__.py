"""DyNet's builders of recurrent networks, of networks over trees, and of softmax layers."""

from dynet_core.messages.hints import explain_arguments
from dynet_core.moved import also_named

from . import base
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

also_named(
    __name__, {"builders": "bi coupled_lstm gru lstm lstm_builder simple", "sequences": "recording stacked state"}
)
base._RNNBuilder = _RNNBuilder  # type: ignore[attr-defined]

_BASES = ("SoftmaxBuilder", "_RNNBuilder")
explain_arguments(*[globals()[name] for name in __all__ if name.endswith("Builder") and name not in _BASES])
