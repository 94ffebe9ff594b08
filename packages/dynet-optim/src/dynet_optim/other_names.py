"""Hints for methods and attributes that optimizers of other libraries have, and that trainers lack."""

from __future__ import annotations

from dynet_core.hints import Closed, give_hints

RATE = "trainer.learning_rate"


class OtherNames(Closed):
    """A base class of `Trainer`, with hints for attributes that only the optimizers of other libraries have.

    Reading or setting one raises an AttributeError that says what to use instead.
    """


give_hints(
    OtherNames,
    {
        **dict.fromkeys(("step", "apply_gradients"), "trainer.update()"),
        "minimize": "loss.backward(), then trainer.update()",
        "backward": "loss.backward(), then trainer.update()",
        "zero_grad": "nothing: trainer.update() leaves no gradients",
        **dict.fromkeys(("param_groups", "lr", "rate", "eta", "eta0"), RATE),
        "set_lr": "trainer.set_learning_rate(rate)",
        "state_dict": "trainer.save(path)",
        "load_state_dict": "trainer.populate(path)",
        "add_param_group": "parameters of the collection: a trainer changes all of them",
        **dict.fromkeys(("clipnorm", "clip_threshold", "clip_grad_norm"), "trainer.set_clip_threshold(threshold)"),
        "weight_decay": "set_weight_decay of the collection",
    },
)
KEYWORDS: dict[str, str] = {
    "betas": "beta_1 and beta_2",
    "weight_decay": "set_weight_decay(learning rate * decay) of the collection",
    **dict.fromkeys(("clip", "clipnorm", "clip_threshold", "max_norm"), "set_clip_threshold(threshold) of the trainer"),
    **dict.fromkeys(("lr_decay", "decay_rate"), "edecay, or trainer.learning_rate"),
}
"""Arguments of optimizers elsewhere that no trainer has under any name, and what to use instead."""
RATES = ("lr", "rate", "eta", "alpha", "e0", "learning_rate")
OF_ONE_TRAINER: dict[str, dict[str, str]] = {
    "SimpleSGDTrainer": {"momentum": "dy.MomentumSGDTrainer"},
    "CyclicalSGDTrainer": dict.fromkeys(RATES, "learning_rate_min and learning_rate_max"),
    "AdadeltaTrainer": dict.fromkeys(RATES, "trainer.learning_rate, a factor that is 1 at first"),
}
"""The name of a trainer -> arguments that this trainer does not have under any name, and what to use instead."""
