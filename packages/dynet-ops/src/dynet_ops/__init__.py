"""All operations ("ops") of DyNet: functions such as `tanh` that add a node to the computation graph and return it.

Importing this package also gives expressions the operator `@` and the attribute `T`, and lets methods that only arrays
of other libraries have, such as `e.sum()`, raise errors that name the function to call.
"""

from dynet_core.moved import also_named as _also_named

from . import as_methods as _as_methods
from ._names import *
from ._names import __all__ as __all__

_EXTRA_NAMES = [  # public names that DyNet 2.1 lacks, as in dynet_core
    "additive_attention", "binary_log_loss_of_logits", "chu_liu_edmonds", "clip_by_value", "crf_step", "cross_entropy",
    "dot_product_attention", "eisner", "layer_norm_dim", "rms_norm", "sinusoidal_positions", "where",
]  # fmt: skip

_as_methods.install()
_also_named(__name__, {  # a module's path -> its earlier paths, which pickles and programs may use
    "elementwise.arithmetic": "elementwise.extremes elementwise.powers",
    "elementwise.functions":
        "elementwise.activations elementwise.hyperbolic elementwise.rounding elementwise.trigonometry",
    "input.inputs": "input.constants input.lookups input.tensors",
    "loss.losses": "loss.distances loss.hinge_losses",
    "loss.probability": "loss.simplex",
    "matrix.convolution": "matrix.circular matrix.pooling",
    "matrix.products": "matrix.contraction",
    "network.vanilla_lstm": "network.vanilla_lstm_state",
    "random.draws": "random.dropouts",
    "reduce.dims": "reduce.columns reduce.largest reduce.moments",
    "reduce.sums": "reduce.cumulative reduce.folding reduce.logsumexps",
    "select.picking": "select.selection",
    "shape.layout": "shape.gradients",
})  # fmt: skip
