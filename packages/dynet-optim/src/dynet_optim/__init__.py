"""DyNet's trainers (optimizers)."""

import sys

from dynet_core.messages.hints import explain_arguments

from . import base
from .adam import AdamTrainer, AmsgradTrainer
from .adaptive import AdadeltaTrainer, AdagradTrainer, RMSPropTrainer
from .base import Trainer
from .parallel import DataParallel
from .sgd import CyclicalSGDTrainer, MomentumSGDTrainer, SimpleSGDTrainer

__all__ = [
    "AdadeltaTrainer", "AdagradTrainer", "AdamTrainer", "AmsgradTrainer", "CyclicalSGDTrainer",
    "DataParallel",
    "MomentumSGDTrainer", "RMSPropTrainer", "SimpleSGDTrainer", "Trainer",
]  # fmt: skip

sys.modules[f"{__name__}.state"] = base  # older pickles look for `Counts` there

explain_arguments(*Trainer.__subclasses__(), AmsgradTrainer)
