"""Losses, distances and probabilities."""

from .distances import *
from .hinge_losses import *
from .probability import *
from .simplex import *
