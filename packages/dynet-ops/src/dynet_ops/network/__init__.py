"""Cells and other parts of networks."""

from . import norm, vanilla_lstm, vanilla_lstm_state
from . import recurrent as recurrent
from .norm import *
from .vanilla_lstm import *
from .vanilla_lstm_state import *

__all__: list[str] = []
__all__ += norm.__all__
__all__ += vanilla_lstm.__all__
__all__ += vanilla_lstm_state.__all__
