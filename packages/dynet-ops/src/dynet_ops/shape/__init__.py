"""Ops that rearrange values, or change only the gradient."""

from .gradients import *
from .joining import *
from .layout import *
