"""Loss functions, distances, and softmax and its relatives."""

from .losses import *
from .probability import *
