"""Every operation of DyNet, each defined in one place."""

from . import (
    activations,
    as_methods,
    circular,
    constants,
    contraction,
    convolution,
    cumulative,
    dropouts,
    elementwise,
    extremes,
    folding,
    gradients,
    graph_inputs,  # noqa: F401  # dy.cg().inputMatrixLiteral
    hinge_losses,
    hyperbolic,
    indexing,  # noqa: F401  # what x[...] means
    inputs,
    joining,
    linear_algebra,
    logsumexps,
    losses,
    matrix,
    max_dims,
    moments,
    norm,
    picking,
    powers,
    probability,
    random,
    recurrent,  # noqa: F401
    reduce,
    reduce_dims,
    rounding,
    selection,
    shape,
    simplex,
    sums,
    trigonometry,
    vanilla_lstm,
)
from .activations import *
from .arithmetic import add, cdiv, cmult, colwise_add, subtract
from .circular import *
from .constants import *
from .contraction import *
from .convolution import *
from .cumulative import *
from .dropouts import *
from .elementwise import *
from .extremes import *
from .folding import *
from .gradients import *
from .hinge_losses import *
from .hyperbolic import *
from .inputs import *
from .joining import *
from .linear_algebra import *
from .logsumexps import *
from .losses import *
from .matrix import *
from .max_dims import *
from .moments import *
from .norm import *
from .picking import *
from .powers import *
from .probability import *
from .random import *
from .reduce import *
from .reduce_dims import *
from .rounding import *
from .selection import *
from .shape import *
from .simplex import *
from .sums import *
from .trigonometry import *
from .vanilla_lstm import *

__all__ = [
    "add", "cdiv", "cmult", "colwise_add", "subtract",
    *activations.__all__, *circular.__all__, *constants.__all__, *contraction.__all__, *convolution.__all__,
    *cumulative.__all__, *dropouts.__all__, *elementwise.__all__, *extremes.__all__, *folding.__all__,
    *gradients.__all__, *hinge_losses.__all__, *hyperbolic.__all__, *inputs.__all__, *joining.__all__,
    *linear_algebra.__all__, *logsumexps.__all__, *losses.__all__, *matrix.__all__, *max_dims.__all__,
    *moments.__all__, *norm.__all__, *picking.__all__, *powers.__all__, *probability.__all__, *random.__all__,
    *reduce.__all__, *reduce_dims.__all__, *rounding.__all__, *selection.__all__, *shape.__all__, *simplex.__all__,
    *sums.__all__, *trigonometry.__all__, *vanilla_lstm.__all__,
]  # fmt: skip

as_methods.install()
