"""Hints for users who try names of other libraries on a collection, such as `model.state_dict()`.

The error message for such a missing attribute then says what to write instead.
"""

from __future__ import annotations

LISTS = "model.parameters_list() and model.lookup_parameters_list()"
OTHER_NAMES = {
    **dict.fromkeys(("parameters", "trainable_variables", "weights", "get_weights"), LISTS),
    **dict.fromkeys(("variables", "trainable_weights"), LISTS),
    "named_parameters": f"p.name() of each of {LISTS}",
    "state_dict": "model.save(path)",
    "save_weights": "model.save(path)",
    "load_state_dict": "model.populate(path)",
    "load_weights": "model.populate(path)",
    **dict.fromkeys(("train", "training"), "set_dropout of networks, and dy.dropout where you train"),
    **dict.fromkeys(("weight_decay", "l2"), "model.set_weight_decay(decay)"),
    "eval": "disable_dropout of networks, and no dy.dropout",
    "zero_grad": "nothing: trainer.update() leaves no gradients",
    "add_parameter": "model.add_parameters(dims)",
    "register_parameter": "model.add_parameters(dims)",
    "add_lookup_parameter": "model.add_lookup_parameters((rows, dim))",
    "add_module": "model.add_subcollection(name)",
    "num_parameters": "model.parameter_count()",
    "count_params": "model.parameter_count()",
    "requires_grad_": "model.set_updated(False)",
    "trainable": "model.set_updated(False)",
    "summary": "print(model)",
    **dict.fromkeys(("to", "cuda"), "dynet_config.set_gpu() before import dynet"),
    "cpu": "p.as_array() of a parameter",
    **dict.fromkeys(("forward", "predict"), "functions of expressions: a collection has parameters only"),
    **dict.fromkeys(("fit", "compile"), "a loop: loss.backward(), then trainer.update()"),
}
"""Name of an attribute in another library -> what to write here instead."""
