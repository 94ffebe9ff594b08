"""Recurrent networks of DyNet."""

from .base import _RNNBuilder
from .bi import BiRNNBuilder
from .gru import GRUBuilder
from .lstm import (
    CompactVanillaLSTMBuilder,
    CoupledLSTMBuilder,
    FastLSTMBuilder,
    LSTMBuilder,
    VanillaLSTMBuilder,
)
from .simple import SimpleRNNBuilder
from .state import RNNState, StackedRNNState

__all__ = [
    "BiRNNBuilder", "CompactVanillaLSTMBuilder", "CoupledLSTMBuilder", "FastLSTMBuilder", "GRUBuilder",
    "LSTMBuilder", "RNNState", "SimpleRNNBuilder", "StackedRNNState", "VanillaLSTMBuilder", "_RNNBuilder",
]  # fmt: skip
