"""Every operation of DyNet, each defined in one place."""

from . import inputs, matrix, norm, probability, random, recurrent, reduce, reduce_dims, shape
from .arithmetic import add, cdiv, cmult, subtract
from .elementwise import abs, cube, exp, log, logistic, negative, rectify, softsign, sqrt, square, tanh  # noqa: A004
from .inputs import *
from .matrix import *
from .norm import *
from .probability import *
from .random import *
from .reduce import *
from .reduce_dims import *
from .shape import *

__all__ = [
    "abs", "add", "cdiv", "cmult", "cube", "exp", "log", "logistic", "negative", "rectify", "softsign", "sqrt",
    "square", "subtract", "tanh",
    *inputs.__all__, *matrix.__all__, *norm.__all__, *random.__all__, *reduce.__all__, *shape.__all__,
    *probability.__all__,
    *reduce_dims.__all__,
]  # fmt: skip
