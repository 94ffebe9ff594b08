"""The names of all ops. Made by `python docs/make_ops.py`."""

# ruff: noqa: F403, F405
from .elementwise import *
from .input import *
from .loss import *
from .matrix import *
from .network import *
from .random import *
from .reduce import *
from .select import *
from .shape import *

__all__ = [
    "abs", "acos", "acosh", "add", "additive_attention", "affine_transform", "argmax", "asin", "asinh", "atan",
    "atanh", "average", "binary_log_loss", "binary_log_loss_of_logits", "block_dropout", "bmax", "bmin", "cdiv",
    "ceil", "chu_liu_edmonds", "circ_conv", "circ_corr", "clip_by_value", "cmult", "colwise_add", "concatenate",
    "concatenate_cols", "concatenate_to_batch", "const_parameter", "constant", "constrained_softmax",
    "contract3d_1d", "contract3d_1d_1d", "contract3d_1d_1d_bias", "contract3d_1d_bias", "conv2d", "conv2d_bias",
    "cos", "cosh", "crf_step", "cross_entropy", "cube", "cumsum", "dot_product", "dot_product_attention", "dropout",
    "dropout_batch", "dropout_dim", "eisner", "elu", "emax", "erf", "esum", "exp", "filter1d_narrow",
    "flip_gradient", "floor", "fold_rows", "hinge", "hinge_batch", "hinge_dim", "huber_distance", "inputMatrix",
    "inputTensor", "inputTensorTranspose", "inputVector", "inverse", "kmax_pooling", "kmh_ngram", "l1_distance",
    "l2_norm", "layer_norm", "layer_norm_dim", "lgamma", "log", "log_sigmoid", "log_softmax", "logdet", "logistic",
    "logsumexp", "logsumexp_dim", "lookup", "lookup_batch", "matInput", "matmul", "max_dim", "maxpooling2d",
    "mean_batches", "mean_dim", "mean_elems", "min_dim", "moment_batches", "moment_dim", "moment_elems", "negative",
    "nobackprop", "noise", "one_hot", "ones", "pairwise_rank_loss", "parameter", "pick", "pick_batch",
    "pick_batch_elem", "pick_batch_elems", "pick_range", "pickneglogsoftmax", "pickneglogsoftmax_batch",
    "pickrange", "poisson_loss", "pow", "random_bernoulli", "random_gumbel", "random_normal", "random_uniform",
    "rectify", "reshape", "rms_norm", "round", "scalarInput", "scale_gradient", "select_cols", "select_rows",
    "selu", "silu", "sin", "sinh", "sinusoidal_positions", "softmax", "softsign", "sparse_inputTensor", "sparsemax",
    "sparsemax_loss", "sqrt", "square", "squared_distance", "squared_norm", "std_batches", "std_dim", "std_elems",
    "strided_select", "subtract", "sum_batches", "sum_cols", "sum_dim", "sum_elems", "tan", "tanh", "to_device",
    "trace_of_product", "transpose", "vanilla_lstm_c", "vanilla_lstm_gates", "vanilla_lstm_gates_concat",
    "vanilla_lstm_gates_dropout", "vanilla_lstm_gates_dropout_concat", "vanilla_lstm_h", "vecInput", "weight_norm",
    "where", "zeroes", "zeros",
]  # fmt: skip
