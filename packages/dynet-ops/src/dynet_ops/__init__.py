"""Every operation of DyNet, each defined in one place."""

from . import (
    contraction,
    convolution,
    indexing,  # noqa: F401  # what x[...] means
    inputs,
    joining,
    linear_algebra,
    matrix,
    norm,
    picking,
    probability,
    random,
    recurrent,
    reduce,
    selection,
    shape,
    sums,
)
from .arithmetic import add, cdiv, cmult, subtract
from .contraction import *
from .convolution import *
from .elementwise import abs, cube, exp, log, logistic, negative, rectify, softsign, sqrt, square, tanh  # noqa: A004
from .inputs import *
from .joining import *
from .linear_algebra import *
from .matrix import *
from .norm import *
from .picking import *
from .probability import *
from .random import *
from .reduce import *
from .selection import *
from .shape import *
from .sums import *

__all__ = [
    "abs", "add", "cdiv", "cmult", "cube", "exp", "log", "logistic", "negative", "rectify", "softsign", "sqrt",
    "square", "subtract", "tanh",
    *contraction.__all__, *convolution.__all__, *inputs.__all__, *joining.__all__, *linear_algebra.__all__,
    *matrix.__all__, *norm.__all__, *picking.__all__, *probability.__all__, *random.__all__, *reduce.__all__,
    *selection.__all__, *shape.__all__, *sums.__all__,
]  # fmt: skip
