"""Cells and other parts of networks."""

from . import recurrent as _recurrent
from .norm import *
from .vanilla_lstm import *
from .vanilla_lstm_state import *
