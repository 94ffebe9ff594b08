"""docs/moved_names.md is true: the old names no longer exist, and the new ones do."""

import importlib
import pickle
import re
from pathlib import Path

import pytest

import dynet as dy

EARLIER = {
    "dynet_core.device": "DeviceInfo available_devices get_device_info",
    "dynet_core.dump": "dump_cg",
    "dynet_core.expression": "Expression",
    "dynet_core.files.object_files": "load load_generator save",
    "dynet_core.initializer.base": "InitializerError PyInitializer",
    "dynet_core.initializer.kinds":
        "ConstInitializer FromFileInitializer GlorotInitializer IdentityInitializer NormalInitializer "
        "NumpyInitializer SaxeInitializer UniformInitializer",
    "dynet_core.mutable_values": "FloatValue FloatVectorValue UnsignedValue UnsignedVectorValue",
    "dynet_core.parameter.dense": "Parameters",
    "dynet_core.plan_text": "show_plan",
    "dynet_core.profiling": "profile",
    "dynet_core.seeds": "reset_random_seed",
    "dynet_core.several": "forward npvalues values",
    "dynet_core.tensor": "Tensor",
    "dynet_ops.elementwise.activations": "elu log_sigmoid selu silu",
    "dynet_ops.elementwise.extremes": "bmax bmin emax",
    "dynet_ops.elementwise.hyperbolic": "acosh asinh atanh cosh sinh",
    "dynet_ops.elementwise.powers": "pow",
    "dynet_ops.elementwise.rounding": "ceil floor round",
    "dynet_ops.elementwise.trigonometry": "acos asin atan cos sin tan",
    "dynet_ops.input.constants": "constant ones zeros",
    "dynet_ops.input.lookups": "lookup lookup_batch",
    "dynet_ops.input.tensors": "inputTensor inputTensorTranspose one_hot sparse_inputTensor",
    "dynet_ops.loss.distances": "binary_log_loss huber_distance l1_distance pairwise_rank_loss poisson_loss",
    "dynet_ops.loss.hinge_losses": "hinge hinge_batch hinge_dim",
    "dynet_ops.loss.simplex": "constrained_softmax sparsemax",
    "dynet_ops.matrix.circular": "circ_conv circ_corr",
    "dynet_ops.matrix.contraction": "contract3d_1d contract3d_1d_1d contract3d_1d_1d_bias contract3d_1d_bias",
    "dynet_ops.matrix.pooling": "maxpooling2d",
    "dynet_ops.network.vanilla_lstm_state": "vanilla_lstm_c vanilla_lstm_h",
    "dynet_ops.random.dropouts": "block_dropout dropout dropout_batch dropout_dim",
    "dynet_ops.reduce.columns": "dot_product l2_norm squared_distance squared_norm sum_elems",
    "dynet_ops.reduce.cumulative": "cumsum",
    "dynet_ops.reduce.folding": "fold_rows kmh_ngram",
    "dynet_ops.reduce.largest": "argmax max_dim min_dim",
    "dynet_ops.reduce.logsumexps": "logsumexp",
    "dynet_ops.reduce.moments": "moment_batches moment_dim moment_elems std_batches std_dim std_elems",
    "dynet_ops.select.selection": "kmax_pooling select_cols select_rows strided_select",
    "dynet_ops.shape.gradients": "flip_gradient scale_gradient",
    "dynet_optim.adam": "AdamTrainer AmsgradTrainer",
    "dynet_optim.adaptive": "AdadeltaTrainer AdagradTrainer RMSPropTrainer",
    "dynet_optim.parallel.data_parallel": "DataParallel",
    "dynet_optim.sgd": "CyclicalSGDTrainer MomentumSGDTrainer SimpleSGDTrainer",
    "dynet_rnn.base": "_RNNBuilder",
    "dynet_rnn.bi": "BiRNNBuilder",
    "dynet_rnn.coupled_lstm": "CoupledLSTMBuilder FastLSTMBuilder",
    "dynet_rnn.gru": "GRUBuilder",
    "dynet_rnn.lstm": "CompactVanillaLSTMBuilder SparseLSTMBuilder VanillaLSTMBuilder",
    "dynet_rnn.lstm_builder": "LSTMBuilder",
    "dynet_rnn.simple": "SimpleRNNBuilder",
    "dynet_rnn.stacked": "StackedRNNState",
    "dynet_rnn.state": "RNNState",
}  # fmt: skip
"""Where an earlier version had functions and classes of `dynet`: module -> names. Its pickles name them so."""

PAGE = Path(__file__).parents[1] / "docs" / "moved_names.md"
ROWS = re.findall(r"^\| `([\w.]+)` \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def found(path):
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("before, now", ROWS, ids=[before for before, _ in ROWS])
def test_a_name_has_moved(before, now):
    with pytest.raises((ImportError, AttributeError)):
        found(before)
    named = re.findall(r"`(dynet_\w+\.[\w.]+)`", now)
    assert named and all(map(found, named))


@pytest.mark.parametrize("module", EARLIER)
def test_pickles_of_older_versions_find_what_they_name(module):
    for name in EARLIER[module].split():
        assert pickle.loads(f"c{module}\n{name}\n.".encode()) is getattr(dy, name)


def test_there_are_rows():
    assert len(ROWS) > 10
