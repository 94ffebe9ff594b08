"""Ops that rearrange values, or change only the gradient."""

from . import gradients, joining, layout
from .gradients import *
from .joining import *
from .layout import *

__all__: list[str] = []
__all__ += gradients.__all__
__all__ += joining.__all__
__all__ += layout.__all__
