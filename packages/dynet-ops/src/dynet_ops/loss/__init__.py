"""Loss functions, distances, and softmax and its relatives."""

from .distances import *
from .hinge_losses import *
from .probability import *
from .simplex import *
