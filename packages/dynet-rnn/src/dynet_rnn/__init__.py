"""Recurrent networks of DyNet."""

from .base import _RNNBuilder
from .bi import BiRNNBuilder
from .gru import GRUBuilder
from .lstm import (
    CompactVanillaLSTMBuilder,
    CoupledLSTMBuilder,
    FastLSTMBuilder,
    LSTMBuilder,
    SparseLSTMBuilder,
    VanillaLSTMBuilder,
)
from .simple import SimpleRNNBuilder
from .softmax import ClassFactoredSoftmaxBuilder, SoftmaxBuilder, StandardSoftmaxBuilder
from .state import RNNState, StackedRNNState

__all__ = [
    "BiRNNBuilder", "ClassFactoredSoftmaxBuilder", "CompactVanillaLSTMBuilder", "CoupledLSTMBuilder",
    "FastLSTMBuilder", "GRUBuilder", "LSTMBuilder", "RNNState", "SimpleRNNBuilder", "SoftmaxBuilder",
    "SparseLSTMBuilder", "StackedRNNState", "StandardSoftmaxBuilder", "VanillaLSTMBuilder", "_RNNBuilder",
]  # fmt: skip
