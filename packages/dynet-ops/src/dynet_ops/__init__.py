"""Every operation of DyNet, each defined in one place."""

from . import (
    activations,
    contraction,
    convolution,
    dropouts,
    elementwise,
    extremes,
    gradients,
    hyperbolic,
    indexing,  # noqa: F401  # what x[...] means
    inputs,
    joining,
    linear_algebra,
    logsumexps,
    matrix,
    norm,
    picking,
    powers,
    probability,
    random,
    recurrent,
    reduce,
    rounding,
    selection,
    shape,
    sums,
    trigonometry,
)
from .activations import *
from .arithmetic import add, cdiv, cmult, colwise_add, subtract
from .contraction import *
from .convolution import *
from .dropouts import *
from .elementwise import *
from .extremes import *
from .gradients import *
from .hyperbolic import *
from .inputs import *
from .joining import *
from .linear_algebra import *
from .logsumexps import *
from .matrix import *
from .norm import *
from .picking import *
from .powers import *
from .probability import *
from .random import *
from .reduce import *
from .rounding import *
from .selection import *
from .shape import *
from .sums import *
from .trigonometry import *

__all__ = [
    "add", "cdiv", "cmult", "colwise_add", "subtract",
    *activations.__all__, *contraction.__all__, *convolution.__all__, *dropouts.__all__, *elementwise.__all__,
    *extremes.__all__, *gradients.__all__, *hyperbolic.__all__, *inputs.__all__, *joining.__all__,
    *linear_algebra.__all__, *logsumexps.__all__, *matrix.__all__, *norm.__all__, *picking.__all__, *powers.__all__,
    *probability.__all__, *random.__all__, *reduce.__all__, *rounding.__all__, *selection.__all__, *shape.__all__,
    *sums.__all__, *trigonometry.__all__,
]  # fmt: skip
