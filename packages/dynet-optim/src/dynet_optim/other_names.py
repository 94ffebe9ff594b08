"""Hints for methods and attributes that optimizers of other libraries have, and that trainers lack."""

from __future__ import annotations

from dynet_core.hints import FirmHint, Hinted, give_hints

RATE = "trainer.learning_rate"


class OtherNames(Hinted):
    """A base class of `Trainer`, with hints for attributes that only the optimizers of other libraries have.

    Reading one raises an AttributeError that says what to use instead.
    """


give_hints(
    OtherNames,
    {
        **dict.fromkeys(("step", "apply_gradients"), "trainer.update()"),
        "minimize": "loss.backward(), then trainer.update()",
        "backward": "loss.backward(), then trainer.update()",
        "zero_grad": "nothing: trainer.update() leaves no gradients",
        **dict.fromkeys(("param_groups", "rate", "eta", "eta0"), RATE),
        "set_lr": "trainer.set_learning_rate(rate)",
        "state_dict": "trainer.save(path)",
        "load_state_dict": "trainer.populate(path)",
        "add_param_group": "parameters of the collection: a trainer changes all of them",
        **dict.fromkeys(("clipnorm", "clip_threshold", "clip_grad_norm"), "trainer.set_clip_threshold(threshold)"),
        "weight_decay": "set_weight_decay of the collection",
    },
)
give_hints(OtherNames, {"lr": RATE}, FirmHint)
