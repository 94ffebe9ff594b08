"""What is called otherwise elsewhere, or misspelled: what the error of `dy.relu` or `dy.Adam` says."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from dynet import _installation

PARTS: dict[str, str] = {
    # trainers
    "AMSGrad": "dy.AmsgradTrainer",
    "Adadelta": "dy.AdadeltaTrainer",
    "Adagrad": "dy.AdagradTrainer",
    "Adam": "dy.AdamTrainer",
    "AdamOptimizer": "dy.AdamTrainer",
    "AdamW": "dy.AdamTrainer, with model.set_weight_decay(...)",
    "CyclicLR": "dy.CyclicalSGDTrainer",
    "GradientDescentOptimizer": "dy.SimpleSGDTrainer",
    "MomentumOptimizer": "dy.MomentumSGDTrainer",
    "Optimizer": "dy.Trainer",
    "RMSProp": "dy.RMSPropTrainer",
    "RMSprop": "dy.RMSPropTrainer",
    "SGD": "dy.SimpleSGDTrainer or dy.MomentumSGDTrainer",
    "clip_grad_norm": "trainer.set_clip_threshold(...)",
    "clip_grad_norm_": "trainer.set_clip_threshold(...)",
    "optim": "dy.AdamTrainer and the other trainers",
    "optimizers": "dy.AdamTrainer and the other trainers",
    # networks
    "BiLSTM": "dy.BiRNNBuilder",
    "Bidirectional": "dy.BiRNNBuilder",
    "GRU": "dy.GRUBuilder",
    "GRUCell": "dy.GRUBuilder",
    "LSTM": "dy.VanillaLSTMBuilder",
    "LSTMCell": "dy.VanillaLSTMBuilder",
    "RNN": "dy.SimpleRNNBuilder",
    "RNNBuilder": "dy.SimpleRNNBuilder",
    "RNNCell": "dy.SimpleRNNBuilder",
    "SimpleRNN": "dy.SimpleRNNBuilder",
    "TreeLSTM": "dy.ChildSumTreeLSTMBuilder or dy.NaryTreeLSTMBuilder",
    # parameters
    "Dense": "dy.affine_transform([b, W, x]), where W and b come from model.add_parameters",
    "Embedding": "model.add_lookup_parameters((rows, dim)), of which E[i] is a row",
    "Linear": "dy.affine_transform([b, W, x]), where W and b come from model.add_parameters",
    "LookupParameter": "model.add_lookup_parameters((rows, dim))",
    "Module": "dy.ParameterCollection",
    "Parameter": "model.add_parameters(dims)",
    "ParameterList": "dy.ParameterCollection",
    "Variable": "model.add_parameters(dims)",
    "glorot_uniform": "dy.GlorotInitializer",
    "nn": "dy.ParameterCollection for parameters, and functions such as dy.affine_transform and dy.tanh",
    "orthogonal": "dy.SaxeInitializer",
    "parameters": "dy.parameter or model.parameters_list()",
    "xavier_uniform_": "dy.GlorotInitializer",
    # graphs and values
    "backward": "loss.backward()",
    "device": "dynet_config.set_gpu() before import dynet, or --dynet-gpu on the command line",
    "eval": "e.value(); networks have disable_dropout()",
    "grad": "loss.backward(), then p.gradient() or trainer.update()",
    "item": "e.value()",
    "manual_seed": "dy.reset_random_seed",
    "new_graph": "dy.renew_cg",
    "npvalue": "e.npvalue()",
    "numpy": "e.npvalue()",
    "renew": "dy.renew_cg",
    "renew_graph": "dy.renew_cg",
    "seed": "dy.reset_random_seed",
    "set_random_seed": "dy.reset_random_seed",
    "topk": "e.tensor_value().topk(...)",
    "value": "e.value()",
}
"""What to use for what is no operation, by its other name; `dynet_ops.other_names` has the operations."""


def hint(name: str, public: Iterable[str]) -> str:
    """What to use in the place of a name that does not exist; "" where nothing is known.

    Args:
        public: the names that exist.
    """
    known = set(public)
    use = PARTS.get(name, "")
    if not use and _installation.is_installed("dynet_ops"):
        from dynet_ops.other_names import OPERATIONS

        use = _alternatives([f"dy.{each}" for each in OPERATIONS.get(name, "").split() if each in known])
    if not use and not name.startswith("_"):
        use = _nearest(name, known)
    return f": use {use}" if use else ""


def _alternatives(names: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _nearest(name: str, known: Iterable[str]) -> str:
    """The name that is spelled most like another, whatever its case and underscores; swapped letters come first."""
    spelled = {_letters(each): each for each in sorted(known)}
    swapped = [each for each in spelled if sorted(each) == sorted(_letters(name))]
    found = swapped or difflib.get_close_matches(_letters(name), spelled, 1, 0.75)
    return f"dy.{spelled[found[0]]}" if found else ""


def _letters(name: str) -> str:
    return name.lower().replace("_", "")
