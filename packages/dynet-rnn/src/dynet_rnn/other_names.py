"""What to use instead of arguments and methods that other networks have, here or elsewhere, and that builders lack."""

from __future__ import annotations

KEYWORDS = {
    **dict.fromkeys(("dropout", "dropout_rate", "recurrent_dropout"), "set_dropout(rate) of the builder"),
    "bidirectional": "dy.BiRNNBuilder",
}
"""Arguments elsewhere that builders do not have under any name, and what to use instead."""

OF_ALL = {
    **dict.fromkeys(("parameters", "weights", "params"), "b.get_parameters() or b.param_collection()"),
    **dict.fromkeys(("state_dict", "save"), "b.param_collection().save(path)"),
    **dict.fromkeys(("load_state_dict", "load", "populate"), "b.param_collection().populate(path)"),
    "train": "b.set_dropout(rate)",
    "eval": "b.disable_dropout()",
    "dropout": "b.set_dropout(rate)",
    **dict.fromkeys(("hidden_size", "hidden_dim", "input_size", "input_dim", "num_layers", "layers"), "b.spec"),
}
"""Attributes that no builder `b` has -> what to use instead."""

_STATE = "b.initial_state()"
OF_SEQUENCES = {
    **dict.fromkeys(("forward", "transduce", "call"), f"{_STATE}.transduce(xs)"),
    "add_input": f"{_STATE}.add_input(x)",
    "add_inputs": f"{_STATE}.add_inputs(xs)",
    **dict.fromkeys(("new_graph", "start_new_sequence", "init_hidden", "zero_state"), _STATE),
}
"""The same for builders of networks that read sequences."""
OF_VERTICAL = {
    "set_dropouts": "b.set_dropout(rate)",
    "set_dropout_masks": "nothing: each input has masks of its own here",
}
"""The same for `Vertical`, builders that have one dropout rate."""

_NO_DROPOUT = "dy.dropout of the inputs and outputs: this network has no dropout rate"
OF_TREES = {
    **dict.fromkeys(("forward", "transduce", "call"), f"{_STATE}.transduce(xs, heads)"),
    "add_input": f"{_STATE}.add_input(x, children)",
    "add_inputs": f"{_STATE}.add_inputs(xs, heads)",
    "initial_state_from_raw_vectors": f"{_STATE}, which has no vectors: leaves begin with zeros",
    **dict.fromkeys(("new_graph", "start_new_sequence", "init_hidden", "zero_state"), _STATE),
    **dict.fromkeys(("train", "dropout", "set_dropout", "set_dropouts", "set_dropout_masks"), _NO_DROPOUT),
    "eval": "no dy.dropout: this network has no dropout rate",
    "disable_dropout": "no dy.dropout: this network has no dropout rate",
}
"""The same for builders of networks over trees."""

_EACH = "of each builder in each pair of b.builder_layers"
OF_BOTH_DIRECTIONS = {
    **OF_ALL,
    **dict.fromkeys(("parameters", "weights", "params"), "b.param_collection().parameters_list()"),
    "get_parameters": f"get_parameters() {_EACH}, or b.param_collection().parameters_list()",
    "get_parameter_expressions": f"get_parameter_expressions() {_EACH}",
    **dict.fromkeys(("forward", "call"), "b.transduce(xs)"),
    "add_input": "b.add_inputs(xs) with the whole sequence: one network begins with its last input",
    **dict.fromkeys(
        ("initial_state", "new_graph", "start_new_sequence", "init_hidden", "zero_state"),
        "b.transduce(xs), or b.add_inputs(xs) for states: each begins with new states",
    ),
    "initial_state_from_raw_vectors": f"initial_state_from_raw_vectors(vecs) {_EACH}",
    "set_dropouts": f"b.set_dropout(rate), or set_dropouts(d, d_r) {_EACH}",
    "set_dropout_masks": f"set_dropout_masks(batch_size) {_EACH}, after its initial_state()",
}
"""The same for `BiRNNBuilder`."""
