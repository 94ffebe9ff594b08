"""Parts of neural networks: recurrent and tree-structured cells, LSTM gates, normalization, attention, and trees."""

from . import recurrent as _recurrent
from .attention import *
from .crf import *
from .decoding import *
from .norm import *
from .vanilla_lstm import *
