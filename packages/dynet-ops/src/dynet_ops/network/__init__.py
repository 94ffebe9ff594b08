"""Parts of neural networks: recurrent and tree-structured cells, LSTM gates, and normalization."""

from . import recurrent as _recurrent
from .crf import *
from .norm import *
from .vanilla_lstm import *
