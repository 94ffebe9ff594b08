"""Operations that draw random numbers: random tensors, noise and dropout."""

from .draws import *
