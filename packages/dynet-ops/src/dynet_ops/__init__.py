"""Every operation of DyNet, each defined in one place."""

from . import (
    circular,
    cumulative,
    extremes,
    folding,
    hinge_losses,
    inputs,
    losses,
    matrix,
    moments,
    norm,
    probability,
    random,
    recurrent,
    reduce,
    reduce_dims,
    shape,
    simplex,
    vanilla_lstm,
)
from .arithmetic import add, cdiv, cmult, subtract
from .circular import *
from .cumulative import *
from .elementwise import abs, cube, exp, log, logistic, negative, rectify, softsign, sqrt, square, tanh  # noqa: A004
from .extremes import *
from .folding import *
from .hinge_losses import *
from .inputs import *
from .losses import *
from .matrix import *
from .moments import *
from .norm import *
from .probability import *
from .random import *
from .reduce import *
from .reduce_dims import *
from .shape import *
from .simplex import *
from .vanilla_lstm import *

__all__ = [
    "abs", "add", "cdiv", "cmult", "cube", "exp", "log", "logistic", "negative", "rectify", "softsign", "sqrt",
    "square", "subtract", "tanh",
    *inputs.__all__, *matrix.__all__, *norm.__all__, *random.__all__, *reduce.__all__, *shape.__all__,
    *probability.__all__,
    *reduce_dims.__all__, *moments.__all__, *extremes.__all__, *cumulative.__all__,
    *losses.__all__, *hinge_losses.__all__, *folding.__all__, *simplex.__all__, *circular.__all__,
    *vanilla_lstm.__all__,
]  # fmt: skip
