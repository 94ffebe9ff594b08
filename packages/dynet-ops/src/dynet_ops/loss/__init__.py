"""Losses, distances and probabilities."""

from . import distances, hinge_losses, probability, simplex
from .distances import *
from .hinge_losses import *
from .probability import *
from .simplex import *

__all__: list[str] = []
__all__ += distances.__all__
__all__ += hinge_losses.__all__
__all__ += simplex.__all__
__all__ += probability.__all__
